#pragma once
/// Operations for all_reduce. Any callable T(const T&, const T&) will do; it need not commute: operands are combined in
/// the order of VNode numbers, over a fixed tree, so that the bits do not depend on who owns what.

namespace phoenix {

struct Sum {
    template <typename T>
    constexpr T operator()(const T& left, const T& right) const {
        return static_cast<T>(left + right);
    }
};
struct Min {
    template <typename T>
    constexpr T operator()(const T& left, const T& right) const {
        return right < left ? right : left;
    }
};
struct Max {
    template <typename T>
    constexpr T operator()(const T& left, const T& right) const {
        return left < right ? right : left;
    }
};

inline constexpr Sum sum{};
inline constexpr Min min{};
inline constexpr Max max{};

}  // namespace phoenix
