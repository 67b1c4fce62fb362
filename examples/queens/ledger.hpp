#pragma once
/// The books of the search, kept by whoever owns VNode 0: credit that is back, solutions, and who wants work. Pure:
/// events in, actions out.

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

namespace queens {

struct Totals {
    std::uint64_t solutions{0};
    std::uint64_t hand_overs{0};  ///< VNodes that went from one member to another.
};

/// Desks are the VNodes by which members are addressed.
class Ledger {
  public:
    struct Ask {
        std::uint32_t desk;  ///< Who is asked to share ...
        std::uint32_t with;  ///< ... with whom.
        friend bool operator==(const Ask&, const Ask&) = default;
    };

    void member_came(std::uint32_t desk);
    /// The member of `desk` has nothing to do.
    [[nodiscard]] std::vector<Ask> member_hungry(std::uint32_t desk);
    /// What it was asked for is done: `count` VNodes given, 0 if it had none to spare.
    [[nodiscard]] std::vector<Ask> member_shared(std::uint32_t desk, std::uint32_t with, std::uint32_t count);
    /// A task is done.
    [[nodiscard]] std::vector<Ask> task_done(std::uint64_t credit, std::uint64_t solutions);

    [[nodiscard]] bool finished() const noexcept;
    [[nodiscard]] const Totals& totals() const noexcept { return totals_; }
    [[nodiscard]] std::vector<std::uint32_t> desks() const;

  private:
    enum class State : std::uint8_t { busy, asked, hungry };
    [[nodiscard]] std::vector<Ask> match();

    std::map<std::uint32_t, State> desks_;
    std::deque<std::uint32_t> waiting_;  ///< Hungry desks for which nobody is asked yet.
    std::uint32_t asked_last_{0};
    std::uint64_t credit_{0};
    Totals totals_;
};

}  // namespace queens
