#include "control/fault_plan.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <optional>
#include <string>

namespace phoenix {

namespace {

constexpr std::uint64_t nanoseconds_per_second = 1'000'000'000;

// Reads a specification from the left; the first failure decides the sentence.
class Scanner {
  public:
    Scanner(std::string_view text, std::string_view what, std::string_view example) noexcept
        : text_(text), what_(what), example_(example) {}

    [[nodiscard]] bool at_end() const noexcept { return position_ == text_.size(); }
    bool accept(std::string_view word) noexcept {
        if (text_.substr(position_, word.size()) != word) return false;
        position_ += word.size();
        return true;
    }
    template <typename Number>
    [[nodiscard]] std::optional<Number> number() noexcept {
        Number value{};
        const auto [end, error] = std::from_chars(text_.data() + position_, text_.data() + text_.size(), value);
        if (error != std::errc{}) return std::nullopt;
        position_ = static_cast<std::size_t>(end - text_.data());
        return value;
    }
    [[nodiscard]] tl::unexpected<Failure> expected(std::string_view wanted) const {
        const std::string found =
            at_end() ? std::string{"it ends"} : fmt::format("there is '{}'", text_.substr(position_));
        return tl::unexpected(Failure{
            Errc::invalid_argument, fmt::format("{} '{}': at position {} {} is expected, but {}; write for example {}.",
                                                what_, text_, position_ + 1, wanted, found, example_)});
    }
    /// Nanoseconds, nothing if there is no duration here.
    [[nodiscard]] std::optional<std::uint64_t> duration() noexcept {
        const std::size_t start = position_;
        const auto whole = number<std::uint64_t>();
        std::uint64_t fraction = 0;
        std::uint64_t fraction_unit = 1;
        const bool pointed = whole && accept(".");
        const std::size_t digits = position_;
        while (pointed && !at_end() && text_[position_] >= '0' && text_[position_] <= '9') {
            // Digits below a nanosecond are read and dropped.
            if (fraction_unit < nanoseconds_per_second) {
                fraction = fraction * 10 + static_cast<std::uint64_t>(text_[position_] - '0');
                fraction_unit *= 10;
            }
            ++position_;
        }
        const bool digits_missing = pointed && position_ == digits;
        const std::uint64_t unit = accept("ms")  ? nanoseconds_per_second / 1000
                                   : accept("s") ? nanoseconds_per_second
                                                 : 0;
        const bool complete = whole && !digits_missing && unit != 0 && *whole <= 1'000'000'000;
        if (!complete) {
            position_ = start;
            return std::nullopt;
        }
        return *whole * unit + fraction * unit / fraction_unit;
    }

  private:
    std::string_view text_;
    std::string_view what_;
    std::string_view example_;
    std::size_t position_{0};
};

constexpr std::string_view fault_example = "kill:2@300, kill:coordinator@50, stop:1@200+3s, join:2@500 or retire:1@400";

// Who is meant, behind the colon.
std::optional<tl::unexpected<Failure>> read_target(Scanner& scanner, PlannedFault& fault) {
    if (fault.kind == FaultKind::join) {
        const Scanner before = scanner;
        const auto count = scanner.number<std::uint32_t>();
        if (!count || *count == 0 || *count >= member_count_max)
            return before.expected(fmt::format("a number of members from 1 to {}", member_count_max - 1));
        fault.target = fault_target_anybody;
        fault.count = *count;
    } else if (scanner.accept("coordinator")) {
        fault.target = fault_target_coordinator;
    } else if (fault.kind == FaultKind::kill && scanner.accept("port")) {
        const Scanner before = scanner;
        const auto node = scanner.number<std::uint32_t>();
        if (!node || *node >= node_count_max)
            return before.expected(fmt::format("the number of a node from 0 to {}", node_count_max - 1));
        fault.kind = FaultKind::kill_port;
        fault.target = fault_target_anybody;
        fault.node = *node;
    } else {
        const Scanner before = scanner;
        const auto slot = scanner.number<std::int32_t>();
        if (!slot || *slot < 0 || *slot >= static_cast<std::int32_t>(member_count_max))
            return before.expected(fmt::format("a member number from 0 to {} or 'coordinator'", member_count_max - 1));
        fault.target = *slot;
    }
    return std::nullopt;
}

}  // namespace

// splitmix64 (Steele, Lea, Flood 2014) used as a counter-based generator.
std::uint64_t random_value(std::uint64_t seed, std::uint64_t counter) noexcept {
    std::uint64_t value = seed * 0x9E3779B97F4A7C15ULL + (counter + 1) * 0xD1B54A32D192ED03ULL;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
    return value ^ (value >> 31);
}

tl::expected<PlannedFault, Failure> parse_fault(std::string_view text) {
    Scanner scanner{text, "--fault", fault_example};
    PlannedFault fault;
    if (scanner.accept("kill:")) {
        fault.kind = FaultKind::kill;
    } else if (scanner.accept("stop:")) {
        fault.kind = FaultKind::stop;
    } else if (scanner.accept("join:")) {
        fault.kind = FaultKind::join;
    } else if (scanner.accept("retire:")) {
        fault.kind = FaultKind::retire;
    } else {
        return scanner.expected("'kill:', 'stop:', 'join:' or 'retire:'");
    }
    if (auto refused = read_target(scanner, fault)) return *refused;
    if (!scanner.accept("@")) return scanner.expected("'@' and a step");
    const auto step = scanner.number<std::uint64_t>();
    if (!step) return scanner.expected("a step number");
    fault.step = *step;
    if (fault.kind == FaultKind::stop && scanner.accept("+")) {
        const auto pause = scanner.duration();
        if (!pause || *pause == 0) return scanner.expected("a time such as 3s or 250ms");
        fault.resume_after_ns = *pause;
    }
    if (!scanner.at_end())
        return scanner.expected(fault.kind == FaultKind::stop ? "the end or '+' and a time" : "the end");
    return fault;
}

tl::expected<Chaos, Failure> parse_chaos(std::string_view text) {
    Scanner scanner{text, "--chaos", "seed=7,kills=20"};
    Chaos chaos;
    struct Count {
        std::string_view name;
        std::uint32_t* value;
        bool given{false};
    };
    std::array<Count, 5> counts{Count{"kills=", &chaos.kills}, Count{"joins=", &chaos.joins},
                                Count{"retires=", &chaos.retires}, Count{"moves=", &chaos.moves},
                                Count{"ports=", &chaos.ports}};
    bool have_seed = false;
    do {
        if (!have_seed && scanner.accept("seed=")) {
            const auto seed = scanner.number<std::uint64_t>();
            if (!seed) return scanner.expected("a number");
            chaos.seed = *seed;
            have_seed = true;
            continue;
        }
        const auto count = std::find_if(counts.begin(), counts.end(),
                                        [&](const Count& one) { return !one.given && scanner.accept(one.name); });
        if (count == counts.end()) {
            std::string wanted = have_seed ? "" : "'seed='";
            for (const Count& one : counts)
                if (!one.given) wanted += fmt::format("{}'{}'", wanted.empty() ? "" : ", ", one.name);
            return scanner.expected(wanted.empty() ? "the end" : "one of " + wanted);
        }
        Scanner before = scanner;
        const auto value = scanner.number<std::uint32_t>();
        if (!value || *value == 0 || *value > fault_count_max)
            return before.expected(fmt::format("a number from 1 to {}", fault_count_max));
        *count->value = *value;
        count->given = true;
    } while (scanner.accept(","));
    if (!scanner.at_end()) return scanner.expected("',' or the end");
    if (std::none_of(counts.begin(), counts.end(), [](const Count& count) { return count.given; })) chaos.kills = 1;
    return chaos;
}

std::vector<PlannedFault> chaos_faults(Chaos chaos, std::uint32_t first_index) {
    std::vector<PlannedFault> faults;
    std::uint64_t counter = 0;
    const auto plan = [&](FaultKind kind, std::uint32_t count) {
        for (std::uint32_t i = 0; i < count; ++i) {
            PlannedFault fault;
            fault.kind = kind;
            const bool anybody = kind == FaultKind::join || kind == FaultKind::kill_port;
            fault.target = anybody ? fault_target_anybody : fault_target_picked;
            fault.count = kind == FaultKind::join ? 1 : 0;
            fault.step_fraction = static_cast<double>(random_value(chaos.seed, counter++) >> 11) * 0x1p-53;
            fault.pick = random_value(chaos.seed, counter++);
            faults.push_back(fault);
        }
    };
    plan(FaultKind::kill, chaos.kills);
    plan(FaultKind::join, chaos.joins);
    plan(FaultKind::retire, chaos.retires);
    plan(FaultKind::move, chaos.moves);
    plan(FaultKind::kill_port, chaos.ports);
    std::stable_sort(faults.begin(), faults.end(),
                     [](const PlannedFault& a, const PlannedFault& b) { return a.step_fraction < b.step_fraction; });
    for (std::uint32_t index = 1; index < faults.size(); ++index)
        faults[index].after = first_index + index;  // index + 1 of the one before
    return faults;
}

tl::expected<std::uint64_t, Failure> parse_duration(std::string_view text) {
    Scanner scanner{text, "time", "250ms, 3s or 1.5s"};
    const auto value = scanner.duration();
    if (!value) return scanner.expected("a number and a unit, ms or s,");
    if (!scanner.at_end()) return scanner.expected("the end");
    return *value;
}

tl::expected<void, Failure> store_fault_plan(std::span<const PlannedFault> faults, ControlSegment& segment) {
    if (faults.size() > fault_count_max)
        return tl::unexpected(
            Failure{Errc::invalid_argument,
                    fmt::format("{} faults are planned and {} fit; plan fewer.", faults.size(), fault_count_max)});
    const std::span<FaultEntry> entries = segment.faults();
    for (std::size_t index = 0; index < faults.size(); ++index) {
        const PlannedFault& fault = faults[index];
        FaultEntry& entry = entries[index];
        entry.kind = static_cast<std::uint32_t>(fault.kind);
        entry.target = fault.target;
        entry.step = fault.step;
        entry.step_fraction = fault.step_fraction;
        entry.pick = fault.pick;
        entry.resume_after_ns = fault.resume_after_ns;
        entry.after = fault.after;
        entry.count = fault.count;
    }
    segment.header().fault_count.store(static_cast<std::uint32_t>(faults.size()), std::memory_order_release);
    return {};
}

}  // namespace phoenix
