#pragma once
/// Coroutines as the state machines of the simulation: a process stands still before each shared-memory operation, and
/// destroying its outermost task is its death there.

#include <coroutine>
#include <exception>
#include <utility>

namespace phoenix::sim {

/// A coroutine that starts when awaited, and resumes whoever awaits it when it ends. Move-only; owns its frame.
class [[nodiscard]] Task {
  public:
    struct promise_type {
        std::coroutine_handle<> continuation{std::noop_coroutine()};

        Task get_return_object() noexcept { return Task{Handle::from_promise(*this)}; }
        std::suspend_always initial_suspend() noexcept { return {}; }
        struct Final {
            bool await_ready() noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> ended) noexcept {
                return ended.promise().continuation;
            }
            void await_resume() noexcept {}
        };
        Final final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { std::terminate(); }
    };
    using Handle = std::coroutine_handle<promise_type>;

    Task() = default;
    explicit Task(Handle handle) noexcept : handle_(handle) {}
    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            destroy();
            handle_ = std::exchange(other.handle_, {});
        }
        return *this;
    }
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    ~Task() { destroy(); }

    [[nodiscard]] bool done() const noexcept { return !handle_ || handle_.done(); }
    [[nodiscard]] std::coroutine_handle<> handle() const noexcept { return handle_; }

    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiting) noexcept {
        handle_.promise().continuation = waiting;
        return handle_;
    }
    void await_resume() const noexcept {}

  private:
    void destroy() noexcept {
        if (handle_) {
            handle_.destroy();
            handle_ = {};
        }
    }
    Handle handle_{};
};

}  // namespace phoenix::sim
