#include "pflight/command.hpp"
#include "pflight/nodes_report.hpp"
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
    [[nodiscard]] static std::vector<JobView> views_of(const RunningJob& job) {
        std::vector<JobView> views;
        for (const RunningNode& node : job.nodes()) views.push_back(read_job(node.segment(), node.arena()));
        return views;
    }

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
        const std::vector<JobView> nodes = views_of(job);
        if (job.has_several_nodes())
            say(json_ ? nodes_status_json(nodes) : nodes_status_text(nodes));
        else
            say(json_ ? status_json(nodes.front()) : status_text(nodes.front()));
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
        const std::vector<JobView> nodes = views_of(job);
        if (job.has_several_nodes())
            say(json_ ? nodes_members_json(nodes) : nodes_members_text(nodes));
        else
            say(json_ ? members_json(nodes.front()) : members_text(nodes.front()));
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
        std::vector<NodeVNodes> nodes;
        std::optional<Failure> trouble;
        for (const RunningNode& node : job.nodes()) {
            const auto domains = meant_domains(domain_, read_domains(node.segment(), node.arena(), 0));
            if (!domains) {
                trouble = domains.error();  // other nodes may have come further
                continue;
            }
            nodes.push_back({node.node().value_or(0), {}});
            for (const DomainView& domain : *domains)
                nodes.back().domains.push_back({domain, read_vnodes(node.segment(), node.arena(), domain.index)});
        }
        if (nodes.empty()) return complain(trouble->sentence, refused);
        if (job.has_several_nodes())
            say(json_ ? nodes_vnodes_json(job.id(), nodes) : nodes_vnodes_text(nodes));
        else
            say(json_ ? vnodes_json(job.id(), nodes.front().domains) : vnodes_text(nodes.front().domains));
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
