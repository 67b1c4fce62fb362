#pragma once
/// What the self-test of messages found, as numbers that VNodes can add up, and as text. Pure.

#include <cstdint>
#include <string>

namespace phoenix::pflight::selftest {

/// Of any number of channels.
struct MessageCounts {
    std::uint64_t sent{0};
    std::uint64_t received{0};
    std::uint64_t bytes{0};  ///< Received.
    std::uint64_t lost{0};
    std::uint64_t duplicated{0};
    std::uint64_t reordered{0};
    std::uint64_t damaged{0};

    [[nodiscard]] bool good() const noexcept { return lost + duplicated + reordered + damaged == 0; }
    friend MessageCounts operator+(const MessageCounts& left, const MessageCounts& right) noexcept;
    friend bool operator==(const MessageCounts&, const MessageCounts&) = default;
};

/// The first channel, in the order of receivers and then of senders, on which something is wrong.
struct WrongChannel {
    std::uint32_t source{0};
    std::uint32_t destination{0};
    std::uint32_t found{0};  ///< 0: there is none.
    std::uint32_t reserved{0};
    MessageCounts counts;
};

struct MessageReport {
    MessageCounts counts;
    WrongChannel wrong;
};

/// What is known besides.
struct ReportContext {
    std::uint64_t seed{0};
    std::uint32_t vnodes{0};
    std::uint64_t steps{0};
    double seconds{0};
};

/// A line of headings and one of figures.
[[nodiscard]] std::string report_table(const MessageReport& report, const ReportContext& context);
/// One object on one line.
[[nodiscard]] std::string report_json(const MessageReport& report, const ReportContext& context);
/// What went wrong and where. @pre !report.counts.good()
[[nodiscard]] std::string report_failure(const MessageReport& report, const ReportContext& context);

}  // namespace phoenix::pflight::selftest
