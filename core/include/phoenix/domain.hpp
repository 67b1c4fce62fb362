#pragma once
/// Domains: a name space of VNodes with fields and a step function, executed by whoever is there.

#include <phoenix/error.hpp>
#include <phoenix/field.hpp>
#include <phoenix/placement.hpp>
#include <phoenix/vnode.hpp>

#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace phoenix {

/// What happens to the others when a member dies.
enum class Recovery : std::uint8_t {
    local,  ///< Only the VNodes of the dead are executed again. Steps must be deterministic.
    global  ///< All VNodes go back to the last common cut; steps may receive from any source.
};

struct DomainOptions {
    std::uint32_t vnodes = 0;        ///< V, 1 .. 2^24; fixed for the life of the job.
    std::uint32_t commit_every = 1;  ///< Steps between commits of a VNode (global: between cuts).
    Recovery recovery = Recovery::local;
    std::uint64_t seed = 0;                   ///< Of VNode::random().
    std::uint32_t collective_bytes_max = 48;  ///< Largest value of an all_reduce, per VNode.
    std::optional<Placement> placement = {};  ///< Empty: the job's, which is block unless `pflight run` says another.
};

/// How a phase ended.
struct RunResult {
    std::uint64_t steps = 0;  ///< Steps executed in this phase.
    bool stopped = false;     ///< Ended by VNode::stop() before all steps were done.
};

using StepFunction = std::function<void(VNode&)>;

namespace detail {

class DomainState;

/// Part of VNode `vnode` after a run, for gather().
[[nodiscard]] PartMemory gathered_part(DomainState& domain, std::uint32_t field, std::uint32_t vnode);
[[nodiscard]] std::uint32_t add_field(DomainState& domain, std::string_view name, ElementClass element,
                                      std::size_t size, const std::function<Shape(std::uint32_t)>& shape_of,
                                      const FieldOptions& options);
[[nodiscard]] std::string gather_once(DomainState& domain, std::uint32_t field,
                                      const std::function<std::string()>& produce);
[[nodiscard]] std::uint32_t vnode_count(const DomainState& domain) noexcept;

/// Results of once() and gather() travel as bytes.
template <typename R>
[[nodiscard]] std::string to_bytes(const R& value) {
    if constexpr (std::is_same_v<R, std::string>) {
        return value;
    } else {
        static_assert(std::is_trivially_copyable_v<R>,
                      "a recorded result must be void, a string or trivially copyable");
        return {reinterpret_cast<const char*>(&value), sizeof value};
    }
}
template <typename R>
[[nodiscard]] R from_bytes(const std::string& bytes) {
    if constexpr (std::is_same_v<R, std::string>) {
        return bytes;
    } else {
        if (bytes.size() != sizeof(R))
            throw Error{Errc::mismatch,
                        "A recorded result has another size than is asked for: the checkpoint was written "
                        "by another program or version, or members call once() differently."};
        R value{};
        std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    }
}

}  // namespace detail

/// The whole of a field between two phases: one part per VNode, read in place.
template <typename T>
class Gathered {
  public:
    Gathered(detail::DomainState& domain, Field<T> field) noexcept : domain_(&domain), field_(field.index) {}
    [[nodiscard]] std::uint32_t vnodes() const noexcept { return detail::vnode_count(*domain_); }
    [[nodiscard]] ArrayView<const T> operator[](std::uint32_t vnode) const {
        const detail::PartMemory memory = detail::gathered_part(*domain_, field_, vnode);
        return {reinterpret_cast<const T*>(memory.origin), memory.shape, memory.halo, memory.strides};
    }

  private:
    detail::DomainState* domain_;
    std::uint32_t field_;
};

/// Handle on a domain of the job. Calls are collective: every member makes the same ones in the same order, members
/// that come late make them again from the top of main.
class Domain {
  public:
    explicit Domain(detail::DomainState& state) noexcept : state_(&state) {}

    /// Declares a field; before the first initialise() or run().
    ///
    /// @param shape_of  Shape of the part of VNode v; any callable Shape(uint32_t), or a Shape for all alike.
    /// @error invalid_argument  A rank or halo that does not fit, options that exclude each other, a name taken.
    template <typename T, typename ShapeOf>
    Field<T> field(std::string_view name, ShapeOf&& shape_of, const FieldOptions& options = {}) {
        static_assert(std::is_trivially_copyable_v<T>);
        std::function<Shape(std::uint32_t)> shape;
        if constexpr (std::is_convertible_v<ShapeOf, Shape>) {
            shape = [all = Shape{shape_of}](std::uint32_t) { return all; };
        } else {
            shape = std::forward<ShapeOf>(shape_of);
        }
        return {detail::add_field(*state_, name, detail::element_class<T>(), sizeof(T), shape, options)};
    }

    /// Runs `f` once per VNode to give fields their first values (step "before 0"); messages are not allowed in it.
    /// A death inside repeats it for the VNodes concerned.
    void initialise(const StepFunction& f);

    /// Runs `step` up to `steps` times for each VNode; returns when every VNode has committed its last step. A phase
    /// that is over already (this process came late, or the job was restarted) is skipped and gives back its result.
    ///
    /// @error step_failed, deadlock, not_deterministic, no_memory, mismatch, ...  The run ended; the same in all
    /// members.
    RunResult run(std::uint64_t steps, const StepFunction& step);

    /// Gives `f` the whole field after a run: one member executes it, its result (void, string or trivially copyable)
    /// is recorded and given to all. Nobody begins the next phase before it is done.
    template <typename T, typename F>
    auto gather(Field<T> field, F&& f) {
        using R = std::invoke_result_t<F, const Gathered<T>&>;
        const Gathered<T> whole{*state_, field};
        if constexpr (std::is_void_v<R>) {
            (void)detail::gather_once(*state_, field.index, [&] { return f(whole), std::string{}; });
        } else {
            return detail::from_bytes<R>(
                detail::gather_once(*state_, field.index, [&] { return detail::to_bytes<R>(f(whole)); }));
        }
    }

    [[nodiscard]] std::uint32_t vnodes() const noexcept;
    /// Slot of the member that owns VNode v now. Information only: it may be another one by the time you look.
    [[nodiscard]] std::uint32_t owner(std::uint32_t v) const;

  private:
    detail::DomainState* state_;
};

}  // namespace phoenix
