#include "memory/control_segment.hpp"
#include "pflight/command.hpp"

#include <fmt/format.h>

namespace phoenix::pflight {

namespace {

constexpr const char* clean_description = "Remove from /dev/shm what dead jobs of this user left there.";
constexpr const char* clean_examples = R"(  pflight clean
  pflight clean --dry-run

Living jobs are not touched. Every 'pflight run' does the same when it starts.)";

class Clean : public OptionsCommand {
  public:
    void declare(CLI::App& application) override {
        add_to(application, "clean", clean_description, clean_examples);
        add_flag("--dry-run", dry_run_, "Say only what would be removed");
    }

    [[nodiscard]] int run() override {
        std::vector<std::string> dead;
        if (dry_run_) {
            for (const FoundJob& job : find_jobs())
                if (!job.alive) dead.push_back(job.job_id);
        } else {
            dead = remove_dead_jobs();
        }
        for (const std::string& job_id : dead)
            say(fmt::format("{}: job '{}' (/dev/shm{})\n", dry_run_ ? "would be removed" : "removed", job_id,
                            control_name(job_id)));
        if (dead.empty()) say("nothing to remove: no dead job of this user left anything\n");
        return good;
    }

  private:
    bool dry_run_{false};
};

}  // namespace

std::unique_ptr<Command> make_clean_command() { return std::make_unique<Clean>(); }

}  // namespace phoenix::pflight
