#pragma once
/// Options of `pflight run` that name other machines: which ones, how an agent is started there, where its port
/// listens.

#include "pflight/hosts.hpp"
#include "pflight/launcher.hpp"
#include "pflight/remote_shell.hpp"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace phoenix::pflight {

/// Where one node of a job is.
struct NodePlace {
    std::string host;                     ///< Empty: emulated on this machine.
    std::vector<std::string> agent_call;  ///< What starts its agent; empty: nothing stands between.
    std::string listen = "127.0.0.1";     ///< Address or network of its port.
    [[nodiscard]] bool remote() const noexcept { return !agent_call.empty(); }
};

struct HostPlan {
    std::vector<NodePlace> places;
    std::vector<std::uint32_t> shares;      ///< Members of each.
    std::vector<std::string> remote_shell;  ///< For a mpirun over them; empty: its own choice.
    Environment exported;                   ///< For all processes on all hosts.
};

class HostOptions {
  public:
    void declare(CLI::App& command);
    /// Nothing was said of other machines: nothing. Asks the resolver for addresses.
    /// @param members  -n, if it was given.
    /// @error invalid_argument, system  One sentence: what is wrong and what to write instead.
    [[nodiscard]] tl::expected<std::optional<HostPlan>, Failure> checked(std::optional<std::uint32_t> members) const;
    [[nodiscard]] bool used() const noexcept { return agents_ || !hosts_.empty() || !hostfile_.empty(); }

  private:
    [[nodiscard]] tl::expected<std::vector<Host>, Failure> named_hosts() const;
    [[nodiscard]] tl::expected<RemoteShell, Failure> shell() const;
    [[nodiscard]] tl::expected<void, Failure> name_addresses(std::vector<NodePlace>& places) const;

    bool agents_{false};
    std::string hosts_;
    std::string hostfile_;
    std::string remote_shell_;
    std::string network_;
    std::vector<std::string> exported_;
};

/// Variables named by "NAME" or "NAME=VALUE"; one without a value has the one it has here.
/// @error invalid_argument  It is no name, or has no value here.
[[nodiscard]] tl::expected<Environment, Failure> exported_variables(const std::vector<std::string>& words);

}  // namespace phoenix::pflight
