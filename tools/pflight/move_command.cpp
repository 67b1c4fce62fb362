#include "memory/settings.hpp"
#include "pflight/argument.hpp"
#include "pflight/command.hpp"
#include "pflight/running_job.hpp"
#include "runtime/requests.hpp"

#include <fmt/format.h>

namespace phoenix::pflight {

namespace {

constexpr const char* move_description = "Hand a VNode over to another member of the running job.";
constexpr const char* move_examples = R"(  pflight move 5 2
  pflight move 5 2 --domain plate --job my-run
  pflight move 5 1.0

It moves at its next step boundary; results do not change. Balancing may move it again when members come or go.
Exit status: 0 once MEMBER executes it.)";

struct Wish {
    std::uint32_t vnode{0};
    std::uint32_t member{0};
    std::uint64_t timeout_ns{0};
    bool from_elsewhere{false};  ///< It was on another node when this was asked for.
};

class Move : public OptionsCommand {
  public:
    void declare(CLI::App& application) override {
        add_to(application, "move", move_description, move_examples);
        add_word("VNODE", vnode_, "Its number in the domain");
        add_word("MEMBER", member_,
                 "Who is to execute it, as 'pflight members' shows it; NODE.SLOT with several nodes");
        add_text("--domain", domain_, "NAME", "Its domain (else the only one)");
        add_text("--timeout", timeout_, "S", "Seconds to wait until it has moved (30)");
        add_job_option();
    }

    [[nodiscard]] int run() override {
        const auto vnode = whole_number(vnode_);
        if (!vnode || *vnode >= vnode_count_max)
            return complain(
                fmt::format("VNODE '{}': the number of a VNode is expected; 'pflight vnodes' lists them.", vnode_),
                wrong_usage);
        const auto member = parse_member_name(member_);
        if (!member)
            return complain(fmt::format("MEMBER '{}': a number from 0 to {} is expected; 'pflight members' lists them.",
                                        member_, member_count_max - 1),
                            wrong_usage);
        const auto timeout = seconds_in_ns(timeout_);
        if (!timeout || *timeout == 0)
            return complain(
                fmt::format("--timeout {}: a number of seconds is expected; write for example 60.", timeout_),
                wrong_usage);
        auto job = RunningJob::open(job_);
        if (!job) return cannot_open(job.error());
        const auto node = job->node_of(*member);
        if (!node) return complain(node.error().sentence, refused);
        auto domain = meant_domain(**node);
        if (!domain) return complain(domain.error().sentence, refused);
        Wish wish{static_cast<std::uint32_t>(*vnode), member->slot, *timeout};
        const bool exists = wish.vnode < domain->vnodes;  // else move() says so
        wish.from_elsewhere = exists && !is_here((*node)->segment(), (*node)->arena(), domain->index, wish.vnode);
        if (wish.from_elsewhere)
            if (const auto trouble = bring_to_node(*job, **node, *domain, wish)) return complain(*trouble, refused);
        return move(**node, *domain, wish);
    }

  private:
    [[nodiscard]] tl::expected<DomainView, Failure> meant_domain(const RunningNode& job) const {
        auto domains = meant_domains(domain_, read_domains(job.segment(), job.arena(), 0));
        if (!domains) return tl::unexpected(std::move(domains.error()));
        if (domain_.empty())
            std::erase_if(*domains, [](const DomainView& domain) { return domain.kind == DomainKind::space; });
        if (domains->size() == 1) return domains->front();
        if (domains->empty())
            return tl::unexpected(Failure{Errc::wrong_state,
                                          "The job has only spaces: their VNodes move when the application releases "
                                          "and assumes them."});
        std::string names;
        for (const DomainView& domain : *domains)
            names += fmt::format("{}'{}'", names.empty() ? "" : ", ", domain.name);
        return tl::unexpected(
            Failure{Errc::wrong_state, fmt::format("The job has {} domains ({}); say with --domain NAME which one is "
                                                   "meant.",
                                                   domains->size(), names)});
    }

    // Until it is on node `to`: what went wrong, as a sentence. Whoever has it on the way may have to be asked again,
    // because a request holds for one owner.
    [[nodiscard]] static std::optional<std::string> bring_to_node(const RunningJob& job, const RunningNode& to,
                                                                  const DomainView& domain, const Wish& wish) {
        const NodeId target{to.node().value_or(0)};
        const RunningNode* asked = nullptr;
        std::uint64_t asked_version = 0;
        std::optional<std::string> trouble;
        const bool in_time = RunningNode::wait_until(
            [&] {
                if (is_here(to.segment(), to.arena(), domain.index, wish.vnode)) return true;
                if ((trouble = to.ending())) return true;
                for (const RunningNode& from : job.nodes()) {
                    if (!is_here(from.segment(), from.arena(), domain.index, wish.vnode)) continue;
                    const DirectoryWord word =
                        read_directory_word(from.segment(), from.arena(), domain.index, wish.vnode);
                    if (asked == &from && word.version() == asked_version) continue;
                    asked = &from;
                    asked_version = word.version();
                    auto wished = request_move_to_node(from.segment(), from.arena(), domain.index, wish.vnode, target);
                    if (!wished) trouble = wished.error().sentence;
                }
                return trouble.has_value();
            },
            wish.timeout_ns);
        if (trouble || in_time) return trouble;
        return fmt::format(
            "VNode {} of '{}' has not come to node {} within {:g} s (it moves at a step boundary, and "
            "may still); 'pflight vnodes' shows what it waits for.",
            wish.vnode, domain.name, target.value, static_cast<double>(wish.timeout_ns) * 1e-9);
    }

    [[nodiscard]] static int move(const RunningNode& job, const DomainView& domain, const Wish& wish) {
        const Settings settings = load_settings(job.segment()).value_or(Settings{});
        if (settings.verify_replay || settings.always_move)
            return complain(fmt::format("In job '{}' every VNode moves at every step ({}); start it without that.",
                                        job.id(), settings.verify_replay ? "--verify-replay" : "--always-move"),
                            refused);
        const auto request = [&] {
            return request_move(job.segment(), job.arena(), domain.index, wish.vnode, wish.member);
        };
        const auto word_now = [&] { return read_directory_word(job.segment(), job.arena(), domain.index, wish.vnode); };
        const DirectoryWord first = wish.vnode < domain.vnodes ? word_now() : DirectoryWord{};
        if (auto asked = request(); !asked) return complain(asked.error().sentence, refused);
        DirectoryWord last = first;
        std::optional<std::string> trouble;
        const bool in_time = RunningNode::wait_until(
            [&] {
                const DirectoryWord word = word_now();
                if (word.executed_by(MemberSlot{wish.member})) return true;
                if ((trouble = job.ending())) return true;
                // A request holds for one version: somebody else may have moved or recovered it first.
                if (word.version() != last.version() || !word.assigned()) {
                    last = word;
                    if (auto asked = request(); !asked) trouble = asked.error().sentence;
                }
                return trouble.has_value();
            },
            wish.timeout_ns);
        if (trouble) return complain(*trouble, refused);
        if (!in_time)
            return complain(
                fmt::format("VNode {} of '{}' has not moved within {:g} s (it moves at a step boundary, and "
                            "may still); 'pflight vnodes' shows what it waits for.",
                            wish.vnode, domain.name, static_cast<double>(wish.timeout_ns) * 1e-9),
                refused);
        const std::string member = job.name_of(wish.member);
        say(first.executed_by(MemberSlot{wish.member}) && !wish.from_elsewhere
                ? fmt::format("VNode {} of '{}' is with member {} already\n", wish.vnode, domain.name, member)
                : fmt::format("VNode {} of '{}' moved to member {}\n", wish.vnode, domain.name, member));
        return good;
    }

    std::string vnode_;
    std::string member_;
    std::string domain_;
    std::string timeout_{"30"};
};

}  // namespace

std::unique_ptr<Command> make_move_command() { return std::make_unique<Move>(); }

}  // namespace phoenix::pflight
