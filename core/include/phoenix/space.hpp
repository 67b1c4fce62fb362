#pragma once
/// Space: the Phoenix model itself. A name space of VNodes that members assume and release, and messages to VNodes,
/// whoever has them. The application moves its own state: a Space survives hand-over, not the death of a member.

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

namespace phoenix {

struct SpaceOptions {
    std::uint32_t vnodes = 0;  ///< V, 1 .. 2^24
};

namespace detail {
class SpaceState;
}

/// A message to a VNode of a space, copied out of the log.
struct SpaceMessage {
    std::uint32_t to{0};
    std::uint32_t from{0};
    std::uint32_t tag{0};
    std::vector<std::byte> bytes;

    template <typename T>
    [[nodiscard]] std::vector<T> values() const {
        static_assert(std::is_trivially_copyable_v<T>);
        std::vector<T> copy(bytes.size() / sizeof(T));
        if (!copy.empty()) std::memcpy(copy.data(), bytes.data(), copy.size() * sizeof(T));
        return copy;
    }
};

/// Handle on a space of the job. Threads: the main thread of the member only.
class Space {
  public:
    explicit Space(detail::SpaceState& state) noexcept : state_(&state) {}

    /// Takes those of `vnodes` that nobody has at the moment; returns the ones taken. Messages that wait for them, and
    /// those that their former owner had not received, come with them, in order.
    std::vector<std::uint32_t> assume(std::span<const std::uint32_t> vnodes);
    /// Gives them up. Messages keep arriving and wait for the next owner.
    /// @error wrong_state  One of them is not owned by this member.
    void release(std::span<const std::uint32_t> vnodes);

    [[nodiscard]] bool owns(std::uint32_t vnode) const;
    [[nodiscard]] std::vector<std::uint32_t> owned() const;
    [[nodiscard]] std::uint32_t vnodes() const noexcept;

    /// Sends from a VNode that this member owns to any VNode. Channels (from, to) keep their order through hand-overs.
    template <typename T>
    void send(std::uint32_t from, std::uint32_t to, std::uint32_t tag, std::span<const T> values) {
        static_assert(std::is_trivially_copyable_v<T>);
        send_bytes(from, to, tag, values.data(), values.size_bytes());
    }
    template <typename T>
    requires std::is_trivially_copyable_v<T>
    void send(std::uint32_t from, std::uint32_t to, std::uint32_t tag, const T& value) {
        send_bytes(from, to, tag, &value, sizeof value);
    }

    /// The next message for any VNode that this member owns; nothing if none is there.
    /// @error member_lost  A member died while it had VNodes of this space.
    [[nodiscard]] std::optional<SpaceMessage> try_receive();
    /// Waits for one, asleep if it takes long.
    /// @error deadlock  Every member waits and nothing is in flight.
    [[nodiscard]] SpaceMessage receive();

  private:
    void send_bytes(std::uint32_t from, std::uint32_t to, std::uint32_t tag, const void* data, std::uint64_t size);
    detail::SpaceState* state_;
};

}  // namespace phoenix
