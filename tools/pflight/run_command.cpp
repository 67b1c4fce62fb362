#include "pflight/command.hpp"
#include "pflight/run_job.hpp"
#include "pflight/run_options.hpp"

namespace phoenix::pflight {

namespace {

class Run : public Command {
  public:
    void declare(CLI::App& application) override { command_.declare(application); }
    [[nodiscard]] bool chosen() const override { return command_.chosen(); }
    [[nodiscard]] int run() override {
        const auto options = command_.checked();
        if (!options) return complain(options.error().sentence, wrong_usage);
        return run_job(*options);
    }

  private:
    RunCommand command_;
};

}  // namespace

std::unique_ptr<Command> make_run_command() { return std::make_unique<Run>(); }

}  // namespace phoenix::pflight
