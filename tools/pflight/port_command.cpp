#include "pflight/command.hpp"
#include "runtime/port.hpp"

namespace phoenix::pflight {

namespace {

/// The port of a node, started by the node's agent. Not for people.
class RunPort : public Command {
  public:
    void declare(CLI::App& application) override {
        app_ = application.add_subcommand("port", "");
        app_->group("");  // not in --help
    }
    [[nodiscard]] bool chosen() const override { return app_->parsed(); }
    [[nodiscard]] int run() override { return run_port(); }

  private:
    CLI::App* app_{nullptr};
};

}  // namespace

std::unique_ptr<Command> make_port_command() { return std::make_unique<RunPort>(); }

}  // namespace phoenix::pflight
