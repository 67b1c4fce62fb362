#pragma once
/// A VNode inside a step: its messages, collectives and fields.

#include <phoenix/array.hpp>
#include <phoenix/field.hpp>
#include <phoenix/reduction.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace phoenix {

/// Tags lie in [0, tag_end).
inline constexpr std::uint32_t tag_end = 1U << 24;

namespace detail {

/// A message as it lies in the log; stays there until the receiving VNode commits.
struct MessageBytes {
    const std::byte* data{nullptr};
    std::uint64_t size{0};
    std::uint32_t source{0};
    std::uint32_t tag{0};
};
/// Room for a message in shared memory, to be written in place.
struct LoanBytes {
    std::byte* data{nullptr};
    std::uint64_t size{0};
    std::uint32_t extent{0};
};
/// into = into (op) right, for elements lying in memory.
using Combine = void (*)(void* context, void* into, const void* right);

void send_bytes(VNodeState& self, std::uint32_t to, std::uint32_t tag, const void* data, std::uint64_t size);
[[nodiscard]] LoanBytes loan_bytes(VNodeState& self, std::uint64_t size);
void send_loan(VNodeState& self, std::uint32_t to, std::uint32_t tag, LoanBytes loan);
void return_loan(VNodeState& self, LoanBytes loan) noexcept;
[[nodiscard]] MessageBytes receive_bytes(VNodeState& self, std::uint32_t from, std::uint32_t tag);
[[nodiscard]] MessageBytes receive_any_bytes(VNodeState& self, std::uint32_t tag);
[[nodiscard]] bool probe_bytes(VNodeState& self, std::uint32_t from, std::uint32_t tag);
void all_reduce_bytes(VNodeState& self, void* values, std::uint64_t size, Combine combine, void* context);
void broadcast_bytes(VNodeState& self, std::uint32_t root, void* data, std::uint64_t size);
[[noreturn]] void throw_size_mismatch(VNodeState& self, std::uint32_t from, std::uint32_t tag, std::uint64_t wanted,
                                      std::uint64_t got);
void print_text(VNodeState& self, std::string_view text);
void stop(VNodeState& self);
[[nodiscard]] std::uint64_t random_bits(VNodeState& self);
[[nodiscard]] std::uint32_t index_of(const VNodeState& self) noexcept;
[[nodiscard]] std::uint32_t count_of(const VNodeState& self) noexcept;
[[nodiscard]] std::uint64_t step_of(const VNodeState& self) noexcept;

}  // namespace detail

/// What VNode::view() gives: the message in place. Valid until the step ends.
template <typename T>
struct MessageView {
    std::span<const T> values;
    std::uint32_t source{0};
    std::uint32_t tag{0};
};

class VNode;

/// Room in shared memory for a message of VNode::loan(): written in place, then sent without a copy.
template <typename T>
class Loan {
  public:
    Loan(detail::VNodeState& self, detail::LoanBytes bytes) noexcept : self_(&self), bytes_(bytes) {}
    Loan(Loan&& other) noexcept : self_(other.self_), bytes_(other.bytes_) { other.bytes_ = {}; }
    Loan& operator=(Loan&&) = delete;
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() {
        if (bytes_.data != nullptr) detail::return_loan(*self_, bytes_);
    }
    [[nodiscard]] std::span<T> values() const noexcept {
        return {reinterpret_cast<T*>(bytes_.data), static_cast<std::size_t>(bytes_.size / sizeof(T))};
    }
    /// Sends it; the memory is the receiver's from here on.
    void send(std::uint32_t to, std::uint32_t tag) {
        const detail::LoanBytes bytes = bytes_;
        bytes_ = {};
        detail::send_loan(*self_, to, tag, bytes);
    }

  private:
    detail::VNodeState* self_;
    detail::LoanBytes bytes_;
};

/// One VNode inside its step function. Calls are allowed from that step's own thread of execution only.
///
/// A step may be executed again after a death. It must do the same again: a function of its fields, its messages,
/// step() and random(). See docs/writing-steps.md.
class VNode {
  public:
    explicit VNode(detail::VNodeState& state) noexcept : state_(&state) {}
    VNode(const VNode&) = delete;
    VNode& operator=(const VNode&) = delete;

    [[nodiscard]] std::uint32_t index() const noexcept { return detail::index_of(*state_); }  ///< In [0, count()).
    [[nodiscard]] std::uint32_t count() const noexcept { return detail::count_of(*state_); }  ///< VNodes of the domain.
    [[nodiscard]] std::uint64_t step() const noexcept { return detail::step_of(*state_); }    ///< From 0 in each phase.

    template <typename T>
    [[nodiscard]] FieldPart<T> operator[](Field<T> field) const {
        return {*state_, field};
    }

    /// Sends `values` to VNode `to`; returns when the caller may reuse `values`.
    ///
    /// @param to      VNode of this domain, on whatever member it lives now or later; may be index() itself.
    /// @param tag     0 <= tag < tag_end. Messages of one sender, receiver and tag arrive in order.
    /// @param values  Shape [n], any n >= 0; copied once into the log.
    /// @error invalid_argument  `to` or `tag` out of range.
    /// @error no_memory         Receivers have not committed and log_memory_max is reached: names channel and bytes.
    /// @cost  Same node: one copy of n elements, no system call unless the receiver sleeps.
    template <typename T>
    void send(std::uint32_t to, std::uint32_t tag, std::span<const T> values) const {
        static_assert(std::is_trivially_copyable_v<T>);
        detail::send_bytes(*state_, to, tag, values.data(), values.size_bytes());
    }
    template <typename T>
    void send(std::uint32_t to, std::uint32_t tag, std::span<T> values) const {
        send(to, tag, std::span<const T>{values});
    }
    /// Sends one trivially copyable value.
    template <typename T>
    requires std::is_trivially_copyable_v<T> &&(!requires(const T& value) { value.data(); }) &&
        (!requires(const T& value) { value.strides; }) void send(std::uint32_t to, std::uint32_t tag,
                                                                 const T& value) const {
        detail::send_bytes(*state_, to, tag, &value, sizeof value);
    }
    /// Sends a strided region, e.g. self[heat].edge(0, Side::low); written in place, not packed first.
    template <typename T>
    void send(std::uint32_t to, std::uint32_t tag, const Region<T>& region) const {
        auto room = loan<std::remove_const_t<T>>(region.elements());
        auto* cursor = room.values().data();
        region.for_each_run([&cursor](const T* run, std::uint64_t n) {
            std::memcpy(cursor, run, n * sizeof(T));
            cursor += n;
        });
        room.send(to, tag);
    }

    /// Room for `n` elements in shared memory, to be written in place and sent without a copy.
    template <typename T>
    [[nodiscard]] Loan<T> loan(std::uint64_t n) const {
        static_assert(std::is_trivially_copyable_v<T>);
        return {*state_, detail::loan_bytes(*state_, n * sizeof(T))};
    }

    /// Waits for the next message from `from` with `tag` and copies it to `values`; other VNodes run meanwhile.
    ///
    /// @error invalid_argument  `from` or `tag` out of range, or the message has another size: names both.
    /// @error deadlock          Ends the run if everybody waits and nothing is in flight.
    template <typename T>
    void receive(std::uint32_t from, std::uint32_t tag, std::span<T> values) const {
        static_assert(std::is_trivially_copyable_v<T> && !std::is_const_v<T>);
        const detail::MessageBytes message = checked(from, tag, values.size_bytes());
        if (message.size != 0) std::memcpy(values.data(), message.data, message.size);
    }
    /// Receives one value.
    template <typename T>
    [[nodiscard]] T receive(std::uint32_t from, std::uint32_t tag) const {
        T value{};
        receive(from, tag, std::span<T>{&value, 1});
        return value;
    }
    /// Receives into a strided region, e.g. self[heat].halo(0, Side::low).
    template <typename T>
    void receive(std::uint32_t from, std::uint32_t tag, const Region<T>& region) const {
        const detail::MessageBytes message = checked(from, tag, region.elements() * sizeof(T));
        const std::byte* cursor = message.data;
        region.for_each_run([&cursor](T* run, std::uint64_t n) {
            std::memcpy(run, cursor, n * sizeof(T));
            cursor += n * sizeof(T);
        });
    }
    /// Waits for the next message from `from` with `tag` and reads it in place, without a copy.
    template <typename T>
    [[nodiscard]] MessageView<T> view(std::uint32_t from, std::uint32_t tag) const {
        return in_place<T>(detail::receive_bytes(*state_, from, tag));
    }
    /// Waits for the next message with `tag` from whoever sent one. Only in domains with recovery = global, since the
    /// order of arrival is not repeated after a death.
    template <typename T>
    [[nodiscard]] MessageView<T> view_any(std::uint32_t tag) const {
        return in_place<T>(detail::receive_any_bytes(*state_, tag));
    }
    /// Whether a message from `from` with `tag` is there. Only in domains with recovery = global.
    [[nodiscard]] bool probe(std::uint32_t from, std::uint32_t tag) const {
        return detail::probe_bytes(*state_, from, tag);
    }

    /// Combines the values of all VNodes, in the order of their numbers over a fixed tree: the same bits whoever owns
    /// what. Every VNode must take part, in the same order of collectives.
    ///
    /// @param op  sum, min, max or any callable T(const T&, const T&), associative; it need not commute.
    template <typename Op, typename T>
    requires std::is_trivially_copyable_v<T>
    [[nodiscard]] T all_reduce(Op op, T value) const {
        all_reduce(op, std::span<T>{&value, 1});
        return value;
    }
    /// Element-wise; `values` holds the result after the call. At most DomainOptions::collective_bytes_max bytes.
    template <typename Op, typename T>
    void all_reduce(Op op, std::span<T> values) const {
        static_assert(std::is_trivially_copyable_v<T>);
        struct Context {
            Op* op;
            std::size_t n;
        } context{&op, values.size()};
        const detail::Combine combine = [](void* raw, void* into, const void* right) {
            const auto& [op_pointer, n] = *static_cast<Context*>(raw);
            for (std::size_t i = 0; i < n; ++i) {
                T a;
                T b;
                std::memcpy(&a, static_cast<const std::byte*>(into) + i * sizeof(T), sizeof(T));
                std::memcpy(&b, static_cast<const std::byte*>(right) + i * sizeof(T), sizeof(T));
                const T combined = (*op_pointer)(a, b);
                std::memcpy(static_cast<std::byte*>(into) + i * sizeof(T), &combined, sizeof(T));
            }
        };
        detail::all_reduce_bytes(*state_, values.data(), values.size_bytes(), combine, &context);
    }
    /// Gives every VNode the value of VNode `root`.
    template <typename T>
    requires std::is_trivially_copyable_v<T>
    [[nodiscard]] T broadcast(std::uint32_t root, T value) const {
        detail::broadcast_bytes(*state_, root, &value, sizeof value);
        return value;
    }
    template <typename T>
    void broadcast(std::uint32_t root, std::span<T> values) const {
        static_assert(std::is_trivially_copyable_v<T>);
        detail::broadcast_bytes(*state_, root, values.data(), values.size_bytes());
    }
    /// Returns when every VNode has called it.
    void barrier() const { detail::all_reduce_bytes(*state_, nullptr, 0, nullptr, nullptr); }

    /// 64 random bits: a function of the domain's seed, the VNode, the step and how often it was called in the step.
    [[nodiscard]] std::uint64_t random() const { return detail::random_bits(*state_); }
    /// In [0, 1), from random().
    [[nodiscard]] double uniform() const { return static_cast<double>(random() >> 11) * 0x1.0p-53; }

    /// Output that appears once the step is committed, so that a repeated step does not repeat it.
    void print(std::string_view text) const { detail::print_text(*state_, text); }

    /// Ends the phase after this step. Every VNode must call it in the same step.
    void stop() const { detail::stop(*state_); }

  private:
    [[nodiscard]] detail::MessageBytes checked(std::uint32_t from, std::uint32_t tag, std::uint64_t wanted) const {
        const detail::MessageBytes message = detail::receive_bytes(*state_, from, tag);
        if (message.size != wanted) detail::throw_size_mismatch(*state_, from, tag, wanted, message.size);
        return message;
    }
    template <typename T>
    [[nodiscard]] static MessageView<T> in_place(const detail::MessageBytes& message) noexcept {
        static_assert(std::is_trivially_copyable_v<T>);
        return {{reinterpret_cast<const T*>(message.data), static_cast<std::size_t>(message.size / sizeof(T))},
                message.source,
                message.tag};
    }

    detail::VNodeState* state_;
};

}  // namespace phoenix
