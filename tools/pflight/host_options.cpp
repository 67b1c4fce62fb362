#include "pflight/host_options.hpp"

#include "pflight/host_address.hpp"
#include "pflight/program.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <memory>

namespace phoenix::pflight {

namespace {

tl::unexpected<Failure> wrong_place(std::string sentence) {
    return refusal(Errc::invalid_argument, std::move(sentence));
}

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

std::vector<std::string> lines_of_command(const std::string& command) {
    std::vector<std::string> lines;
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> output{popen(command.c_str(), "re"), pclose};
    std::array<char, 512> buffer{};
    while (output && std::fgets(buffer.data(), buffer.size(), output.get()) != nullptr) {
        std::string line = buffer.data();
        line.resize(std::strcspn(line.c_str(), "\n"));
        if (!line.empty()) lines.push_back(std::move(line));
    }
    return lines;
}

// Those of the allocation we run in.
tl::expected<std::vector<Host>, Failure> hosts_of_slurm() {
    const std::string list = variable("SLURM_JOB_NODELIST");
    if (list.empty())
        return wrong_place(
            "--agents: on which hosts is not said, and this is no Slurm job; add for example --hosts "
            "node1:2,node2:2.");
    const std::vector<std::string> names =
        lines_of_command(fmt::format("scontrol show hostnames {} 2>/dev/null </dev/null", quoted_for_shell(list)));
    if (names.empty())
        return refusal(Errc::system, fmt::format("'scontrol show hostnames {}' names no host; write --hosts.", list));
    auto tasks = parse_tasks_per_node(variable("SLURM_TASKS_PER_NODE"));
    std::vector<Host> hosts;
    for (std::size_t index = 0; index < names.size(); ++index) {
        Host host{names[index], std::nullopt};
        if (tasks && tasks->size() == names.size()) host.members = (*tasks)[index];
        hosts.push_back(std::move(host));
    }
    return hosts;
}

}  // namespace

tl::expected<Environment, Failure> exported_variables(const std::vector<std::string>& words) {
    Environment environment;
    for (const std::string& word : words) {
        const std::size_t equals = word.find('=');
        const std::string name = word.substr(0, equals);
        const bool is_name = !name.empty() && std::isdigit(static_cast<unsigned char>(name.front())) == 0 &&
                             std::all_of(name.begin(), name.end(), [](unsigned char letter) {
                                 return std::isalnum(letter) != 0 || letter == '_';
                             });
        if (!is_name)
            return wrong_place(
                fmt::format("-x {}: that is no name of a variable; write for example -x OMP_NUM_THREADS "
                            "or -x OMP_NUM_THREADS=2.",
                            word));
        const char* value = std::getenv(name.c_str());
        if (equals == std::string::npos && value == nullptr)
            return wrong_place(fmt::format("-x {}: it has no value here; write -x {}=VALUE.", word, name));
        environment.emplace_back(name, equals == std::string::npos ? value : word.substr(equals + 1));
    }
    return environment;
}

void HostOptions::declare(CLI::App& command) {
    const auto text = [&](const char* name, std::string& value, const char* placeholder, const char* help) {
        command.add_option(name, value, help)->type_name(placeholder)->group("Several machines");
    };
    command
        .add_flag("--agents", agents_,
                  "Start an agent on each host, without MPI (the default with --hosts; inside Slurm: on its hosts)")
        ->group("Several machines");
    text("--hosts", hosts_, "LIST", "Hosts and their members: node1:2,node2:2; or node1,node2 to share -n out evenly");
    text("--hostfile", hostfile_, "FILE", "A host a line: node1:2 or node1 slots=2");
    text("--remote-shell", remote_shell_, "CMD",
         "Starts a command line on a host, called as ssh is (ssh; in Slurm srun)");
    text("--network", network_, "NET", "Nodes speak with each other in this IPv4 network, for example 10.1.0.0/16");
    command
        .add_option("-x,--export", exported_, "Give NAME, or NAME=VALUE, to the processes on all hosts (repeatable)")
        ->type_name("NAME")
        ->allow_extra_args(false)
        ->group("Several machines");
}

tl::expected<std::vector<Host>, Failure> HostOptions::named_hosts() const {
    if (!hosts_.empty() && !hostfile_.empty())
        return wrong_place("--hosts and --hostfile exclude each other; write one.");
    if (!hosts_.empty()) return parse_hosts(hosts_);
    if (hostfile_.empty()) return hosts_of_slurm();
    std::ifstream file{hostfile_};
    if (!file)
        return wrong_place(fmt::format("--hostfile {}: it cannot be read ({}); write a host a line into it.", hostfile_,
                                       std::strerror(errno)));
    return parse_hostfile(std::string{std::istreambuf_iterator<char>{file}, {}}, hostfile_);
}

tl::expected<RemoteShell, Failure> HostOptions::shell() const {
    RemoteShell shell = own_shell(remote_shell_);
    if (shell.words.empty()) shell = variable("SLURM_JOB_ID").empty() ? secure_shell() : slurm_shell();
    std::string& name = shell.words.front();
    std::string path = name.find('/') == std::string::npos ? path_of_command(name) : name;
    if (path.empty())
        return wrong_place(
            fmt::format("There is no '{}' on PATH to start agents on other hosts with; install it or "
                        "write --remote-shell CMD.",
                        name));
    name = std::move(path);
    return shell;
}

// Loopback only if all nodes are on this machine: others cannot reach it.
tl::expected<void, Failure> HostOptions::name_addresses(std::vector<NodePlace>& places) const {
    if (std::none_of(places.begin(), places.end(), [](const NodePlace& place) { return place.remote(); })) return {};
    if (!network_.empty()) {
        if (const auto network = parse_network(network_); !network)
            return wrong_place("--network: " + network.error().sentence);
        for (NodePlace& place : places) place.listen = network_;
        return {};
    }
    std::string elsewhere;
    for (NodePlace& place : places) {
        if (!place.remote()) continue;
        auto address = address_of_host(place.host);
        if (!address) return tl::unexpected(std::move(address.error()));
        if (is_loopback(*address))
            return wrong_place(
                fmt::format("Host '{}' is {} to this machine, where others cannot reach it; write "
                            "another name or its address, or --network.",
                            place.host, *address));
        place.listen = *address;
        elsewhere = std::move(*address);
    }
    for (NodePlace& place : places) {
        if (place.remote()) continue;
        auto address = address_towards(elsewhere);
        if (!address) return tl::unexpected(std::move(address.error()));
        place.listen = std::move(*address);
    }
    return {};
}

tl::expected<std::optional<HostPlan>, Failure> HostOptions::checked(std::optional<std::uint32_t> members) const {
    if (!used()) {
        const char* idle = !remote_shell_.empty() ? "--remote-shell" : !network_.empty() ? "--network" : nullptr;
        if (!exported_.empty()) idle = "-x";
        if (idle != nullptr)
            return wrong_place(fmt::format("{} is for other hosts; add for example --hosts a:2,b:2.", idle));
        return std::nullopt;
    }
    const auto hosts = named_hosts();
    if (!hosts) return tl::unexpected(hosts.error());
    auto shares = shares_of_hosts(*hosts, members);
    if (!shares) return tl::unexpected(std::move(shares.error()));
    auto exported = exported_variables(exported_);
    if (!exported) return tl::unexpected(std::move(exported.error()));
    HostPlan plan;
    plan.shares = std::move(*shares);
    plan.exported = std::move(*exported);
    std::optional<RemoteShell> remote;
    for (std::size_t index = 0; index < plan.shares.size(); ++index) {
        NodePlace place;
        place.host = (*hosts)[index].name;
        if (!is_this_machine(place.host)) {
            if (!remote) {
                auto found = shell();
                if (!found) return tl::unexpected(std::move(found.error()));
                remote = std::move(*found);
                if (!remote->takes_words) plan.remote_shell = remote->words;
            }
            place.agent_call = words_for(*remote, place.host, {own_program(), "agent"});
        }
        plan.places.push_back(std::move(place));
    }
    if (auto named = name_addresses(plan.places); !named) return tl::unexpected(std::move(named.error()));
    return plan;
}

}  // namespace phoenix::pflight
