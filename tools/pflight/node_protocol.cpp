#include "pflight/node_protocol.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>

namespace phoenix::pflight {

namespace {

using PlainJson = nlohmann::json;

template <typename... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

[[noreturn]] void wrong_value(const char* name) {
    throw std::invalid_argument{fmt::format("'{}' is out of range", name)};
}

// Of a field that must be there: numbers that do not fit are errors, not other numbers.
template <typename Number>
Number number_of(const PlainJson& json, const char* name, std::uint64_t most) {
    const PlainJson& field = json.at(name);
    if (!field.is_number_unsigned()) wrong_value(name);
    const auto value = field.get<std::uint64_t>();
    if (value > most) wrong_value(name);
    return static_cast<Number>(value);
}

template <typename Enum>
Enum enum_of(const PlainJson& json, const char* name, Enum last) {
    return static_cast<Enum>(number_of<std::uint64_t>(json, name, static_cast<std::uint64_t>(last)));
}

std::uint64_t whole_of(const PlainJson& json, const char* name) {
    return number_of<std::uint64_t>(json, name, ~std::uint64_t{0});
}

PlainJson json_of_fault(const PlannedFault& fault) {
    return {{"kind", static_cast<std::uint32_t>(fault.kind)},
            {"target", fault.target},
            {"step", fault.step},
            {"step_fraction", fault.step_fraction},
            {"pick", fault.pick},
            {"resume_after_ns", fault.resume_after_ns},
            {"after", fault.after},
            {"count", fault.count},
            {"node", fault.node}};
}

PlannedFault fault_of(const PlainJson& json) {
    PlannedFault fault;
    fault.kind = enum_of(json, "kind", FaultKind::kill_port);
    fault.target = json.at("target").get<std::int32_t>();
    if (fault.target < fault_target_anybody || fault.target >= static_cast<std::int32_t>(member_count_max))
        wrong_value("target");
    fault.step = whole_of(json, "step");
    fault.step_fraction = json.at("step_fraction").get<double>();
    fault.pick = whole_of(json, "pick");
    fault.resume_after_ns = whole_of(json, "resume_after_ns");
    fault.after = number_of<std::uint32_t>(json, "after", fault_count_max);
    fault.count = number_of<std::uint32_t>(json, "count", member_count_max);
    fault.node = number_of<std::uint32_t>(json, "node", node_count_max - 1);
    return fault;
}

std::string hexadecimal(std::span<const std::uint8_t> bytes) {
    std::string text;
    for (const std::uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
    return text;
}

std::vector<std::uint8_t> bytes_of(const std::string& hexadecimals, const char* name) {
    constexpr std::string_view digits = "0123456789abcdef";
    if (hexadecimals.size() % 2 != 0 || hexadecimals.find_first_not_of(digits) != std::string::npos)
        throw std::invalid_argument{fmt::format("'{}' is not in hexadecimal digits", name)};
    std::vector<std::uint8_t> bytes(hexadecimals.size() / 2);
    for (std::size_t index = 0; index < hexadecimals.size(); ++index)
        bytes[index / 2] = static_cast<std::uint8_t>(bytes[index / 2] << 4U | digits.find(hexadecimals[index]));
    return bytes;
}

std::array<std::uint8_t, 32> secret_of(const std::string& text) {
    std::array<std::uint8_t, 32> secret{};
    const std::vector<std::uint8_t> bytes = bytes_of(text, "secret");
    if (bytes.size() != secret.size()) throw std::invalid_argument{"'secret' is no secret"};
    std::copy(bytes.begin(), bytes.end(), secret.begin());
    return secret;
}

// As text where that says the same; JSON holds no other bytes.
std::string line_of_output(const std::string& bytes) {
    try {
        return PlainJson{{"type", "output"}, {"text", bytes}}.dump();
    } catch (const PlainJson::type_error&) {
        const std::span raw{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
        return PlainJson{{"type", "output"}, {"bytes", hexadecimal(raw)}}.dump();
    }
}

OutputReport output_of(const PlainJson& json) {
    if (const auto text = json.find("text"); text != json.end()) return {text->get<std::string>()};
    const std::vector<std::uint8_t> bytes = bytes_of(json.at("bytes").get<std::string>(), "bytes");
    return {std::string(bytes.begin(), bytes.end())};
}

OverReport over_of(const PlainJson& json) {
    OverReport report{json.at("nodes").get<std::vector<std::uint32_t>>()};
    for (const std::uint32_t node : report.nodes)
        if (node >= node_count_max) wrong_value("nodes");
    return report;
}

PlainJson json_of_order(const StartOrder& order) {
    PlainJson faults = PlainJson::array();
    for (const PlannedFault& fault : order.faults) faults.push_back(json_of_fault(fault));
    const auto settings = settings_text(order.settings);
    if (!settings) throw std::invalid_argument{settings.error().sentence};
    return {{"type", "start"},
            {"protocol", node_protocol_version},
            {"job", order.job_id},
            {"node", order.node},
            {"nodes", order.nodes},
            {"secret", hexadecimal(order.secret)},
            {"members", order.members},
            {"program", order.program},
            {"arguments", order.arguments},
            {"directory", order.directory},
            {"settings", PlainJson::parse(*settings)},
            {"faults", std::move(faults)},
            {"respawn", order.respawn},
            {"output", order.output},
            {"relay", order.relay},
            {"listen", order.listen},
            {"awaits_port", order.awaits_port},
            {"environment", order.environment}};
}

StartOrder start_order_of(const PlainJson& json) {
    if (number_of<std::uint32_t>(json, "protocol", ~std::uint32_t{0}) != node_protocol_version)
        throw std::invalid_argument{"it is of another version of pflight: use the same one on all nodes"};
    StartOrder order;
    order.job_id = json.at("job").get<std::string>();
    order.nodes = number_of<std::uint32_t>(json, "nodes", node_count_max);
    order.node = number_of<std::uint32_t>(json, "node", node_count_max - 1);
    if (order.node >= order.nodes) wrong_value("node");
    order.secret = secret_of(json.at("secret").get<std::string>());
    order.members = number_of<std::uint32_t>(json, "members", member_count_max);
    if (order.members == 0) wrong_value("members");
    order.program = json.at("program").get<std::string>();
    order.arguments = json.at("arguments").get<std::vector<std::string>>();
    order.directory = json.at("directory").get<std::string>();
    const auto settings = parse_settings(json.at("settings").dump());
    if (!settings) throw std::invalid_argument{settings.error().sentence};
    order.settings = *settings;
    for (const PlainJson& fault : json.at("faults")) order.faults.push_back(fault_of(fault));
    if (order.faults.size() > fault_count_max) wrong_value("faults");
    order.respawn = json.at("respawn").get<bool>();
    order.output = number_of<int>(json, "output", 1023);
    order.relay = json.at("relay").get<bool>();
    order.listen = json.at("listen").get<std::string>();
    order.awaits_port = json.at("awaits_port").get<bool>();
    order.environment = json.at("environment").get<std::vector<std::pair<std::string, std::string>>>();
    return order;
}

EndOrder end_order_of(const PlainJson& json) {
    EndOrder order;
    order.outcome = enum_of(json, "outcome", Outcome::interrupted);
    if (order.outcome < Outcome::failed) wrong_value("outcome");
    order.code = enum_of(json, "code", Errc::internal);
    order.sentence = json.at("sentence").get<std::string>();
    order.hurry = json.at("hurry").get<bool>();
    return order;
}

AddressesOrder addresses_of(const PlainJson& json) {
    AddressesOrder order{json.at("of_nodes").get<std::vector<std::uint64_t>>()};
    if (order.of_nodes.size() > node_count_max) wrong_value("of_nodes");
    return order;
}

PlainJson json_of_event(const EventReport& report) {
    const Event& event = report.event;
    return {{"type", "event"},
            {"kind", static_cast<std::uint32_t>(event.kind)},
            {"subject", event.subject},
            {"detail", event.detail},
            {"peer", event.peer},
            {"time_ns", event.time_ns},
            {"extra", event.extra},
            {"fault_kind", static_cast<std::uint32_t>(report.fault.kind)},
            {"fault_count", report.fault.count}};
}

EventReport event_of(const PlainJson& json) {
    EventReport report;
    report.event.kind = enum_of(json, "kind", EventKind::port_started);
    report.event.subject = number_of<std::uint32_t>(json, "subject", ~std::uint32_t{0});
    report.event.detail = whole_of(json, "detail");
    report.event.peer = number_of<std::uint32_t>(json, "peer", ~std::uint32_t{0});
    report.event.time_ns = whole_of(json, "time_ns");
    report.event.extra = whole_of(json, "extra");
    report.fault.kind = enum_of(json, "fault_kind", FaultKind::kill_port);
    report.fault.count = number_of<std::uint32_t>(json, "fault_count", member_count_max);
    return report;
}

PlainJson json_of_progress(const ProgressSample& sample) {
    PlainJson json{{"type", "progress"},
                   {"time_ns", sample.time_ns},
                   {"vnode_steps", sample.vnode_steps},
                   {"recoveries", sample.recoveries},
                   {"members", sample.members}};
    if (sample.job)
        json["job"] = {{"domain", sample.job->domain},           {"phase", sample.job->phase},
                       {"step_min", sample.job->step_min},       {"step_mean", sample.job->step_mean},
                       {"steps_total", sample.job->steps_total}, {"vnodes", sample.job->vnodes},
                       {"vnodes_here", sample.job->vnodes_here}, {"checkpoints", sample.job->checkpoints},
                       {"long_wait", sample.job->long_wait}};
    return json;
}

ProgressReport progress_of(const PlainJson& json) {
    ProgressSample sample;
    sample.time_ns = whole_of(json, "time_ns");
    sample.vnode_steps = whole_of(json, "vnode_steps");
    sample.recoveries = whole_of(json, "recoveries");
    sample.members = number_of<std::uint32_t>(json, "members", member_count_max);
    if (const auto found = json.find("job"); found != json.end()) {
        JobProgress job;
        job.domain = found->at("domain").get<std::string>();
        job.phase = number_of<std::uint32_t>(*found, "phase", ~std::uint32_t{0});
        job.step_min = whole_of(*found, "step_min");
        job.step_mean = found->at("step_mean").get<double>();
        job.steps_total = whole_of(*found, "steps_total");
        job.vnodes = number_of<std::uint32_t>(*found, "vnodes", vnode_count_max);
        job.vnodes_here = number_of<std::uint32_t>(*found, "vnodes_here", vnode_count_max);
        job.checkpoints = whole_of(*found, "checkpoints");
        job.long_wait = found->at("long_wait").get<std::string>();
        sample.job = std::move(job);
    }
    return {std::move(sample)};
}

EndedReport ended_of(const PlainJson& json) {
    EndedReport report;
    report.verdict.outcome = enum_of(json, "outcome", Outcome::interrupted);
    if (report.verdict.outcome < Outcome::completed) wrong_value("outcome");
    report.verdict.code = enum_of(json, "code", Errc::internal);
    report.verdict.sentence = json.at("sentence").get<std::string>();
    report.verdict.exit_status = number_of<int>(json, "status", 255);
    report.verdict.deserted = json.at("deserted").get<bool>();
    return report;
}

ProcessReport process_of(const PlainJson& json) {
    ProcessReport report;
    report.pid = number_of<pid_t>(json, "pid", 1U << 30U);
    report.purpose = enum_of(json, "purpose", ProcessPurpose::port);
    report.time_ns = whole_of(json, "time_ns");
    return report;
}

Order order_of(const PlainJson& json) {
    const auto type = json.at("type").get<std::string>();
    if (type == "start") return start_order_of(json);
    if (type == "addresses") return addresses_of(json);
    if (type == "end") return end_order_of(json);
    if (type == "own_port") return OwnPortOrder{};
    if (type == "finish") return FinishOrder{};
    throw std::invalid_argument{fmt::format("there is no order '{}'", type)};
}

StartedReport started_of(const PlainJson& json) {
    StartedReport report{whole_of(json, "time_ns"), json.at("agent").get<std::string>(),
                         json.at("listen").get<std::string>()};
    // They become entries of a list.
    if (report.agent.find(',') != std::string::npos) wrong_value("agent");
    if (report.listen.find(',') != std::string::npos) wrong_value("listen");
    return report;
}

Report report_of(const PlainJson& json) {
    const auto type = json.at("type").get<std::string>();
    if (type == "started") return started_of(json);
    if (type == "process") return process_of(json);
    if (type == "port")
        return PortReport{number_of<std::uint32_t>(json, "slot", member_count_max - 1),
                          number_of<std::uint64_t>(json, "address", (std::uint64_t{1} << 48U) - 1)};
    if (type == "event") return event_of(json);
    if (type == "died")
        return DiedReport{number_of<std::uint32_t>(json, "slot", member_count_max - 1), whole_of(json, "time_ns"),
                          json.at("how").get<std::string>()};
    if (type == "progress") return progress_of(json);
    if (type == "say") return SayReport{json.at("sentence").get<std::string>()};
    if (type == "output") return output_of(json);
    if (type == "ended") return ended_of(json);
    if (type == "over") return over_of(json);
    throw std::invalid_argument{fmt::format("there is no report '{}'", type)};
}

template <typename Message>
tl::expected<Message, Failure> parsed(std::string_view line, Message (*read)(const PlainJson&)) {
    try {
        return read(PlainJson::parse(line));
    } catch (const std::exception& error) {
        return refusal(Errc::corrupt, fmt::format("A line between pflight and an agent cannot be read ({}): {:.80}",
                                                  error.what(), line));
    }
}

}  // namespace

tl::expected<std::string, Failure> line_of(const Order& order) {
    try {
        return std::visit(
                   Overloaded{[](const StartOrder& start) { return json_of_order(start).dump(); },
                              [](const AddressesOrder& addresses) {
                                  return PlainJson{{"type", "addresses"}, {"of_nodes", addresses.of_nodes}}.dump();
                              },
                              [](const EndOrder& end) {
                                  return PlainJson{{"type", "end"},
                                                   {"outcome", static_cast<std::uint32_t>(end.outcome)},
                                                   {"code", static_cast<int>(end.code)},
                                                   {"sentence", end.sentence},
                                                   {"hurry", end.hurry}}
                                      .dump(-1, ' ', false, PlainJson::error_handler_t::replace);
                              },
                              [](const OwnPortOrder&) {
                                  return PlainJson{{"type", "own_port"}}.dump();
                              },
                              [](const FinishOrder&) {
                                  return PlainJson{{"type", "finish"}}.dump();
                              }},
                   order) +
               "\n";
    } catch (const std::exception&) {  // a path may hold any bytes, JSON may not
        return refusal(Errc::invalid_argument,
                       "On several nodes the program, its arguments and all directories must be valid UTF-8.");
    }
}

std::string line_of(const Report& report) {
    if (const auto* output = std::get_if<OutputReport>(&report)) return line_of_output(output->bytes) + "\n";
    const PlainJson json = std::visit(
        Overloaded{
            [](const StartedReport& started) {
                return PlainJson{{"type", "started"},
                                 {"time_ns", started.time_ns},
                                 {"agent", started.agent},
                                 {"listen", started.listen}};
            },
            [](const ProcessReport& process) {
                return PlainJson{{"type", "process"},
                                 {"pid", process.pid},
                                 {"purpose", static_cast<std::uint32_t>(process.purpose)},
                                 {"time_ns", process.time_ns}};
            },
            [](const PortReport& port) {
                return PlainJson{{"type", "port"}, {"slot", port.slot}, {"address", port.address}};
            },
            [](const EventReport& event) { return json_of_event(event); },
            [](const DiedReport& died) {
                return PlainJson{{"type", "died"}, {"slot", died.slot}, {"time_ns", died.time_ns}, {"how", died.how}};
            },
            [](const ProgressReport& progress) { return json_of_progress(progress.sample); },
            [](const SayReport& say) {
                return PlainJson{{"type", "say"}, {"sentence", say.sentence}};
            },
            [](const OutputReport&) { return PlainJson{}; },  // above
            [](const OverReport& over) {
                return PlainJson{{"type", "over"}, {"nodes", over.nodes}};
            },
            [](const EndedReport& ended) {
                return PlainJson{{"type", "ended"},
                                 {"outcome", static_cast<std::uint32_t>(ended.verdict.outcome)},
                                 {"code", static_cast<int>(ended.verdict.code)},
                                 {"sentence", ended.verdict.sentence},
                                 {"status", ended.verdict.exit_status},
                                 {"deserted", ended.verdict.deserted}};
            }},
        report);
    // Text in shared memory may hold any bytes.
    return json.dump(-1, ' ', false, PlainJson::error_handler_t::replace) + "\n";
}

tl::expected<Order, Failure> parse_order(std::string_view line) { return parsed<Order>(line, order_of); }
tl::expected<Report, Failure> parse_report(std::string_view line) { return parsed<Report>(line, report_of); }

}  // namespace phoenix::pflight
