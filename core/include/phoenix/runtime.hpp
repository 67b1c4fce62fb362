#pragma once
/// The runtime of one member: founds or joins the job.

#include <phoenix/domain.hpp>
#include <phoenix/error.hpp>
#include <phoenix/space.hpp>
#include <phoenix/world.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

namespace phoenix {

namespace detail {
class RuntimeState;
}

/// Version of the library, e.g. "0.1.0".
[[nodiscard]] std::string_view version() noexcept;

/// Membership of this process in its job, from construction to destruction. One per process.
///
/// Started by `pflight run`, the process joins that job; alone it is a job of one member. Errors that end the job are
/// thrown as phoenix::Error by the call that meets them, in every member; uncaught ones are printed once and end the
/// process with status 1.
///
/// @error refused, no_memory, system  The process cannot join: the sentence says why.
class Runtime {
  public:
    Runtime(int& argc, char**& argv);
    /// With a launcher's library, e.g. phoenix::mpi_world(). `world` must outlive the runtime.
    Runtime(int& argc, char**& argv, World* world);
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;
    ~Runtime();

    /// @error invalid_argument  No VNodes or too many; a domain or space of this name was made before.
    Domain domain(std::string_view name, const DomainOptions& options);
    Space space(std::string_view name, const SpaceOptions& options);

    /// Runs `f` in one member only; its result (void, string or trivially copyable) is recorded and given to all, also
    /// to those that come later. Repeated only if that member died before recording: what `f` does outside, e.g. a line
    /// it prints, is then there twice, but is never missing (stdout is flushed before). Not inside a step.
    template <typename F>
    auto once(std::string_view name, F&& f) {
        using R = std::invoke_result_t<F>;
        if constexpr (std::is_void_v<R>) {
            (void)once_bytes(name, [&] { return f(), std::string{}; });
        } else {
            return detail::from_bytes<R>(once_bytes(name, [&] { return detail::to_bytes<R>(f()); }));
        }
    }

    [[nodiscard]] std::uint32_t member() const noexcept;        ///< Slot of this member. Information only.
    [[nodiscard]] std::uint32_t member_count() const noexcept;  ///< ACTIVE members now.
    /// Asks for `members` more. They are started in the background and get their share of VNodes one by one, at step
    /// boundaries; nobody waits for them. main runs in every member, so this belongs into once():
    /// `runtime.once("grow", [&] { runtime.grow(2); })`.
    /// @error refused  No launcher serves this job: start it with `pflight run`.
    void grow(std::uint32_t members) const;
    /// Asks that this member hand its VNodes over to others and end, with exit status 0; it goes on with its steps
    /// until they are gone and then ends inside run(). Refused silently if nobody else is left. Also in a step.
    void retire() const noexcept;
    /// Members expected at the start (pflight run -n N).
    [[nodiscard]] std::uint32_t expected_member_count() const noexcept;

  private:
    std::string once_bytes(std::string_view name, const std::function<std::string()>& f);
    std::unique_ptr<detail::RuntimeState> state_;
};

}  // namespace phoenix
