#include "carrier.hpp"

#include "base/clock.hpp"
#include "base/process.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mpi.h>
#include <mutex>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace phoenix::mpi {

namespace {

// How the thread waits for transfers that are under way: at first as one does who expects them at once, then so that
// what the network has buffered lasts, and if all has been under way for long so that it costs next to nothing.
constexpr unsigned eager_rounds = 200;
constexpr std::uint64_t pause_ns = 20'000;
constexpr std::uint64_t long_pause_ns = 1'000'000;
constexpr std::uint64_t long_ns = 2'000'000'000;
// MPI does not say that a cancelled transfer will never end.
constexpr std::uint64_t cancel_patience_ns = 1'000'000'000;
constexpr std::size_t block_max = 1U << 30;  // counts are of type int

struct Order {
    enum class Kind : std::uint8_t { receive, send, cancel } kind{};
    std::uint64_t id{};
    std::uint32_t rank{};
    std::uint32_t tag{};
    std::vector<std::span<std::byte>> pieces;  ///< Not written to by a send.
};

struct Transfer {
    std::uint64_t id{};
    bool receives{};
    std::uint64_t asked_ns{0};
    std::uint64_t cancelled_ns{0};
    MPI_Request request{MPI_REQUEST_NULL};
};

/// The pieces as one message.
class Message {
  public:
    explicit Message(const std::vector<std::span<std::byte>>& pieces) {
        std::vector<int> lengths;
        std::vector<MPI_Aint> places;
        for (const auto& piece : pieces) {
            for (std::size_t at = 0; at < piece.size(); at += block_max) {
                MPI_Aint place = 0;
                MPI_Get_address(piece.data() + at, &place);
                places.push_back(place);
                lengths.push_back(static_cast<int>(std::min(block_max, piece.size() - at)));
            }
        }
        MPI_Type_create_hindexed(static_cast<int>(lengths.size()), lengths.data(), places.data(), MPI_BYTE, &type_);
        MPI_Type_commit(&type_);
    }
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;
    ~Message() { MPI_Type_free(&type_); }  // MPI keeps it as long as a transfer uses it
    [[nodiscard]] MPI_Datatype type() const noexcept { return type_; }

  private:
    MPI_Datatype type_{MPI_DATATYPE_NULL};
};

/// The thread that calls MPI, and what it shares with the others.
class MpiThread {
  public:
    MpiThread() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

    void stop() {
        {
            const std::lock_guard lock{mutex_};
            stop_ = true;
        }
        wake_.notify_one();
    }

    /// -1: not known yet.
    [[nodiscard]] std::int64_t rank() const noexcept { return rank_.load(std::memory_order_acquire); }
    [[nodiscard]] int descriptor() const noexcept { return event_.get(); }

    [[nodiscard]] std::uint64_t stuck_ns() const noexcept {
        const std::uint64_t due = waited_for_since_ns_.load(std::memory_order_acquire);
        const std::uint64_t now = boot_time_ns();
        return due == 0 || now < due ? 0 : now - due;
    }

    [[nodiscard]] std::optional<EndedTransfer> next_ended() {
        const std::lock_guard lock{mutex_};
        if (ended_.empty()) {
            eventfd_t count = 0;
            (void)eventfd_read(event_.get(), &count);
            return std::nullopt;
        }
        const EndedTransfer first = ended_.front();
        ended_.pop_front();
        return first;
    }

    void give(Order order) {
        {
            const std::lock_guard lock{mutex_};
            orders_.push_back(std::move(order));
            // From now on a sign of life is due.
            if (std::uint64_t idle = 0; !waited_for_since_ns_.compare_exchange_strong(idle, boot_time_ns())) return;
        }
        wake_.notify_one();
    }

    /// The thread's main.
    void run() {
        int provided = 0;
        int initialised = 0;
        MPI_Initialized(&initialised);
        // Ranks call it at about the same time. If one of them dies meanwhile this may never return: the port does
        // without.
        if (initialised == 0 && MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
            return;
        MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
        int rank = 0;
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        int* tag_max = nullptr;
        int known = 0;
        MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &tag_max, &known);
        if (known == 0 || *tag_max < static_cast<int>(carrier_tag_max)) return;
        rank_.store(rank, std::memory_order_release);
        (void)eventfd_write(event_.get(), 1);
        serve();
    }

  private:
    void serve() {
        unsigned idle_rounds = 0;
        while (take_orders()) {
            if (test() > 0) {
                idle_rounds = 0;
                continue;
            }
            if (++idle_rounds < eager_rounds) {
                std::this_thread::yield();
                continue;
            }
            const std::uint64_t old = boot_time_ns() - long_ns;
            const bool fresh = std::any_of(transfers_.begin(), transfers_.end(),
                                           [old](const Transfer& transfer) { return transfer.asked_ns > old; });
            std::unique_lock lock{mutex_};
            wake_.wait_for(lock, std::chrono::nanoseconds(fresh ? pause_ns : long_pause_ns),
                           [this] { return stop_ || !orders_.empty(); });
        }
    }

    // False: it is over. Sleeps while there is nothing to do.
    bool take_orders() {
        std::deque<Order> orders;
        {
            std::unique_lock lock{mutex_};
            if (orders_.empty() && transfers_.empty()) waited_for_since_ns_.store(0, std::memory_order_release);
            wake_.wait(lock, [this] { return stop_ || !orders_.empty() || !transfers_.empty(); });
            if (stop_) return false;
            orders.swap(orders_);
            waited_for_since_ns_.store(boot_time_ns(), std::memory_order_release);
        }
        for (const Order& order : orders) obey(order);
        return true;
    }

    void obey(const Order& order) {
        if (order.kind == Order::Kind::cancel) {
            const auto found = std::find_if(transfers_.begin(), transfers_.end(),
                                            [&](const Transfer& transfer) { return transfer.id == order.id; });
            if (found == transfers_.end()) return;
            found->cancelled_ns = boot_time_ns();
            if (found->receives) MPI_Cancel(&found->request);  // sends cannot be
            return;
        }
        const bool receives = order.kind == Order::Kind::receive;
        Transfer transfer{order.id, receives, boot_time_ns()};
        const int rank = static_cast<int>(order.rank);
        const int tag = static_cast<int>(order.tag);
        int error = MPI_SUCCESS;
        if (order.pieces.size() == 1 && order.pieces[0].size() <= block_max) {
            std::byte* const at = order.pieces[0].data();
            const int size = static_cast<int>(order.pieces[0].size());
            error = receives ? MPI_Irecv(at, size, MPI_BYTE, rank, tag, MPI_COMM_WORLD, &transfer.request)
                             : MPI_Isend(at, size, MPI_BYTE, rank, tag, MPI_COMM_WORLD, &transfer.request);
        } else {
            const Message message{order.pieces};
            error = receives ? MPI_Irecv(MPI_BOTTOM, 1, message.type(), rank, tag, MPI_COMM_WORLD, &transfer.request)
                             : MPI_Isend(MPI_BOTTOM, 1, message.type(), rank, tag, MPI_COMM_WORLD, &transfer.request);
        }
        if (error != MPI_SUCCESS)
            tell({order.id, TransferEnd::failed});
        else
            transfers_.push_back(transfer);
    }

    // How many have ended.
    std::size_t test() {
        std::size_t count = 0;
        for (std::size_t at = 0; at < transfers_.size();) {
            Transfer& transfer = transfers_[at];
            int done = 0;
            MPI_Status status{};
            const int error = MPI_Test(&transfer.request, &done, &status);
            bool given_up = false;
            if (error != MPI_SUCCESS) {
                tell({transfer.id, TransferEnd::failed});
            } else if (done != 0) {
                int cancelled = 0;
                if (transfer.cancelled_ns != 0) MPI_Test_cancelled(&status, &cancelled);
                tell({transfer.id, cancelled != 0 ? TransferEnd::cancelled : TransferEnd::complete});
            } else if (transfer.cancelled_ns != 0 && boot_time_ns() > transfer.cancelled_ns + cancel_patience_ns) {
                given_up = true;  // never asked for again, never freed: MPI may use its memory
            } else {
                ++at;
                continue;
            }
            if (!given_up) ++count;
            transfers_[at] = transfers_.back();
            transfers_.pop_back();
        }
        return count;
    }

    void tell(EndedTransfer ended) {
        const std::lock_guard lock{mutex_};
        ended_.push_back(ended);
        (void)eventfd_write(event_.get(), 1);
    }

    FileDescriptor event_;
    std::atomic<std::int64_t> rank_{-1};
    std::atomic<std::uint64_t> waited_for_since_ns_{0};  ///< The thread was last heard of; 0: it sleeps.
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stop_{false};
    std::deque<Order> orders_;
    std::deque<EndedTransfer> ended_;
    std::vector<Transfer> transfers_;  ///< The thread's.
};

class MpiCarrier final : public Carrier {
  public:
    explicit MpiCarrier(std::uint64_t world) : world_(world), thread_(std::make_shared<MpiThread>()) {
        // One that is stuck in MPI stays there until the process ends, and keeps what it uses.
        std::thread{[thread = thread_] { thread->run(); }}.detach();
    }
    ~MpiCarrier() override { thread_->stop(); }

    [[nodiscard]] std::optional<CarrierPlace> place() const noexcept override {
        const std::int64_t rank = thread_->rank();
        if (rank < 0) return std::nullopt;
        return CarrierPlace{world_, static_cast<std::uint32_t>(rank)};
    }
    [[nodiscard]] std::uint64_t stuck_ns() const noexcept override { return thread_->stuck_ns(); }
    void receive(std::uint64_t id, std::uint32_t rank, std::uint32_t tag, WritePieces pieces) override {
        thread_->give({Order::Kind::receive, id, rank, tag, std::move(pieces)});
    }
    void send(std::uint64_t id, std::uint32_t rank, std::uint32_t tag, ReadPieces pieces) override {
        WritePieces writable;
        for (const auto& piece : pieces) writable.emplace_back(const_cast<std::byte*>(piece.data()), piece.size());
        thread_->give({Order::Kind::send, id, rank, tag, std::move(writable)});
    }
    void cancel(std::uint64_t id) override { thread_->give({Order::Kind::cancel, id, 0, 0, {}}); }
    [[nodiscard]] std::optional<EndedTransfer> next_ended() override { return thread_->next_ended(); }
    [[nodiscard]] int descriptor() const noexcept override { return thread_->descriptor(); }

  private:
    std::uint64_t world_;
    std::shared_ptr<MpiThread> thread_;
};

}  // namespace

std::unique_ptr<Carrier> make_carrier(std::uint64_t world) { return std::make_unique<MpiCarrier>(world); }

}  // namespace phoenix::mpi
