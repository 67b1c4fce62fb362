#include "pflight/selftest/report.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace phoenix::pflight::selftest {

namespace {

nlohmann::json json_of(const MessageCounts& counts) {
    return {{"sent", counts.sent},           {"received", counts.received},   {"bytes", counts.bytes},
            {"lost", counts.lost},           {"duplicated", counts.duplicated}, {"reordered", counts.reordered},
            {"damaged", counts.damaged}};
}

std::string wrong_counts(const MessageCounts& counts) {
    return fmt::format("{} lost, {} duplicated, {} reordered, {} damaged", counts.lost, counts.duplicated,
                       counts.reordered, counts.damaged);
}

}  // namespace

MessageCounts operator+(const MessageCounts& left, const MessageCounts& right) noexcept {
    return {left.sent + right.sent,           left.received + right.received,
            left.bytes + right.bytes,         left.lost + right.lost,
            left.duplicated + right.duplicated, left.reordered + right.reordered,
            left.damaged + right.damaged};
}

std::string report_table(const MessageReport& report, const ReportContext& context) {
    constexpr double bytes_per_megabyte = 1e6;
    const MessageCounts& counts = report.counts;
    return fmt::format("{:>12} {:>10} {:>6} {:>10} {:>9} {:>7} {:>8} {:>6} {:>8} {:>10}\n", "messages", "MB", "lost",
                       "duplicated", "reordered", "damaged", "channels", "steps", "seconds", "messages/s") +
           fmt::format("{:>12} {:>10.1f} {:>6} {:>10} {:>9} {:>7} {:>8} {:>6} {:>8.2f} {:>10.0f}\n", counts.sent,
                       static_cast<double>(counts.bytes) / bytes_per_megabyte, counts.lost, counts.duplicated,
                       counts.reordered, counts.damaged, std::uint64_t{context.vnodes} * context.vnodes, context.steps,
                       context.seconds, static_cast<double>(counts.received) / context.seconds);
}

std::string report_json(const MessageReport& report, const ReportContext& context) {
    nlohmann::json json = json_of(report.counts);
    json["good"] = report.counts.good();
    json["seed"] = context.seed;
    json["vnodes"] = context.vnodes;
    json["steps"] = context.steps;
    json["seconds"] = context.seconds;
    if (report.wrong.found != 0) {
        json["first_wrong_channel"] = json_of(report.wrong.counts);
        json["first_wrong_channel"]["source"] = report.wrong.source;
        json["first_wrong_channel"]["destination"] = report.wrong.destination;
    }
    return json.dump() + "\n";
}

std::string report_failure(const MessageReport& report, const ReportContext& context) {
    return fmt::format("Messages went wrong: {}; the first channel concerned is that from VNode {} to VNode {} ({}); report it "
                       "with this command and --seed {}.",
                       wrong_counts(report.counts), report.wrong.source, report.wrong.destination,
                       wrong_counts(report.wrong.counts), context.seed);
}

}  // namespace phoenix::pflight::selftest
