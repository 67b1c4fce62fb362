#include "pflight/command.hpp"
#include "pflight/job_report.hpp"
#include "pflight/running_job.hpp"

namespace phoenix::pflight {

namespace {

/// Shows a running job; what of it is the business of those below.
class Show : public OptionsCommand {
  public:
    [[nodiscard]] int run() override {
        auto job = RunningJob::open(job_);
        return job ? show(*job) : cannot_open(job.error());
    }

  protected:
    void declare_as(CLI::App& application, const char* name, const char* description, const char* examples) {
        add_to(application, name, description, examples);
        add_flag("--json", json_, "For programs");
        add_job_option();
    }
    [[nodiscard]] virtual int show(const RunningJob& job) const = 0;
    [[nodiscard]] static JobView view_of(const RunningJob& job) { return read_job(job.segment(), job.arena()); }

    bool json_{false};
};

class Status : public Show {
  public:
    void declare(CLI::App& application) override {
        declare_as(application, "status", "Show how far a running job is.",
                   "  pflight status\n  pflight status --json --job my-run");
    }

  protected:
    [[nodiscard]] int show(const RunningJob& job) const override {
        say(json_ ? status_json(view_of(job)) : status_text(view_of(job)));
        return good;
    }
};

class Members : public Show {
  public:
    void declare(CLI::App& application) override {
        declare_as(application, "members", "Show the members of a running job, those that left or died too.",
                   "  pflight members\n  pflight members --json --job my-run");
    }

  protected:
    [[nodiscard]] int show(const RunningJob& job) const override {
        say(json_ ? members_json(view_of(job)) : members_text(view_of(job)));
        return good;
    }
};

class VNodes : public Show {
  public:
    void declare(CLI::App& application) override {
        declare_as(application, "vnodes", "Show who owns each VNode of a running job, and where it is.",
                   "  pflight vnodes\n  pflight vnodes --domain plate --json --job my-run");
        add_text("--domain", domain_, "NAME", "This domain or space only");
    }

  protected:
    [[nodiscard]] int show(const RunningJob& job) const override {
        const auto domains = meant_domains(domain_, read_domains(job.segment(), job.arena(), 0));
        if (!domains) return complain(domains.error().sentence, refused);
        std::vector<DomainVNodes> shown;
        for (const DomainView& domain : *domains)
            shown.push_back({domain, read_vnodes(job.segment(), job.arena(), domain.index)});
        say(json_ ? vnodes_json(job.id(), shown) : vnodes_text(shown));
        return good;
    }

  private:
    std::string domain_;
};

}  // namespace

std::unique_ptr<Command> make_status_command() { return std::make_unique<Status>(); }
std::unique_ptr<Command> make_members_command() { return std::make_unique<Members>(); }
std::unique_ptr<Command> make_vnodes_command() { return std::make_unique<VNodes>(); }

}  // namespace phoenix::pflight
