#include "memory/settings.hpp"

#include <cstring>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace phoenix {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Settings, heartbeat_period_ms, heartbeat_misses_max, start_timeout_ms,
                                                kill_timeout_ms, stall_report_ms, deadlock_confirm_ms, log_memory_soft,
                                                log_memory_max, stack_size_bytes, spin_ns, verify_replay, always_move,
                                                quiet, started_by_mpirun, placement, checkpoint_directory,
                                                checkpoint_every, checkpoint_keep, restart_directory)

tl::expected<std::string, Failure> settings_text(const Settings& settings) {
    try {
        return nlohmann::json(settings).dump();
    } catch (const nlohmann::json::exception&) {  // a path may hold any bytes, JSON may not
        return tl::unexpected(Failure{Errc::invalid_argument,
                                      "The names of the checkpoint and restart directories must be valid UTF-8."});
    }
}

tl::expected<Settings, Failure> parse_settings(std::string_view text) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded())
        return tl::unexpected(
            Failure{Errc::corrupt, "The control segment holds no readable settings; start the job again."});
    try {
        return json.get<Settings>();
    } catch (const nlohmann::json::exception& error) {
        return tl::unexpected(
            Failure{Errc::corrupt, fmt::format("The job's settings cannot be read: {}.", error.what())});
    }
}

tl::expected<void, Failure> store_settings(const Settings& settings, ControlSegment& segment) {
    const auto written = settings_text(settings);
    if (!written) return tl::unexpected(written.error());
    const std::string& text = *written;
    ControlHeader& header = segment.header();
    if (text.size() > header.settings.size())
        return tl::unexpected(
            Failure{Errc::invalid_argument,
                    fmt::format("The job's settings take {} bytes and {} fit; use shorter directory names.",
                                text.size(), header.settings.size())});
    std::memcpy(header.settings.data(), text.data(), text.size());
    header.settings_size = static_cast<std::uint32_t>(text.size());
    return {};
}

tl::expected<Settings, Failure> load_settings(const ControlSegment& segment) {
    const ControlHeader& header = segment.header();
    const std::size_t size = std::min<std::size_t>(header.settings_size, header.settings.size());
    return parse_settings({header.settings.data(), size});
}

}  // namespace phoenix
