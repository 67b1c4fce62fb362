#pragma once
/// What has become of a request to a running job, from what is seen of its members. Pure.

#include "pflight/job_view.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace phoenix::pflight {

/// Members asked for with `pflight join`, as far as they are. Whoever else joins meanwhile is not told apart.
struct Growth {
    std::vector<std::uint32_t> joined;  ///< Became ACTIVE.
    std::uint32_t lost{0};              ///< Ended before that.
};

/// @param before       Members as they were before the request.
/// @param grow_failed  How many processes have ended without attaching since then.
[[nodiscard]] Growth growth_since(const std::vector<MemberView>& before, std::uint32_t grow_failed,
                                  const std::vector<MemberView>& now);

/// Slots for newcomers, now or soon: those of members that have left are used again, those of the dead are not.
/// @param asked_for  Processes that were asked for before and have not attached yet.
[[nodiscard]] std::uint32_t free_slots(const std::vector<MemberView>& now, std::uint32_t asked_for) noexcept;

/// Why the member in `slot` cannot be asked to retire, as a sentence; nothing if it can.
/// @param limited  It will be killed if it takes too long: with VNodes of a space that would end the job.
/// @param node     Of the member, in a job of several.
[[nodiscard]] std::optional<std::string> retirement_refusal(std::string_view job_id, std::uint32_t slot, bool limited,
                                                            const std::vector<MemberView>& now,
                                                            std::optional<std::uint32_t> node = std::nullopt);

enum class Retirement : std::uint8_t {
    going_on,
    retired,
    kept,   ///< The wish was refused: nobody else would be left.
    died,   ///< Before it was empty: by itself, or killed because its time was over.
    ended,  ///< It finished with the program first.
};
/// @param incarnation  Who was asked: a successor in the slot means that it has retired.
[[nodiscard]] Retirement retirement_of(std::uint32_t slot, std::uint32_t incarnation,
                                       const std::vector<MemberView>& now) noexcept;

/// "2 members joined: 4, 5", "1 of 2 members joined: 4", "no member joined"; without full stop.
[[nodiscard]] std::string growth_text(const Growth& growth, std::uint32_t wanted,
                                      std::optional<std::uint32_t> node = std::nullopt);

}  // namespace phoenix::pflight
