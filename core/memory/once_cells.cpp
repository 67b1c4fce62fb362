#include "memory/once_cells.hpp"

#include <atomic>
#include <fmt/format.h>
#include <xxhash.h>

namespace phoenix {

tl::expected<OnceCell*, Failure> find_once_cell(const ControlSegment& segment, std::string_view name) {
    if (name.size() >= sizeof(OnceCell::name))
        return tl::unexpected(Failure{
            Errc::invalid_argument,
            fmt::format("The name '{}' is too long: {} characters are possible.", name, sizeof(OnceCell::name) - 1)});
    const std::uint64_t hash = XXH3_64bits(name.data(), name.size());
    const std::uint64_t key = hash == 0 ? 1 : hash;
    const auto cells = segment.once_cells();
    for (std::size_t probe = 0; probe < cells.size(); ++probe) {
        OnceCell& cell = cells[(key + probe) % cells.size()];
        std::uint64_t seen = cell.key.load(std::memory_order_acquire);
        const bool taken = seen == 0 && cell.key.compare_exchange_strong(seen, key, std::memory_order_acq_rel);
        if (!taken && seen != key) continue;
        // Everybody writes the name, the same bytes: whoever took the cell may have died before it did.
        for (std::size_t at = 0; at < name.size(); ++at)
            std::atomic_ref{cell.name[at]}.store(name[at], std::memory_order_relaxed);
        return &cell;
    }
    return tl::unexpected(Failure{
        Errc::no_memory,
        fmt::format("There is no room for once(\"{}\"): a job has at most {} things done once.", name, cells.size())});
}

void unclaim_once(OnceCell& cell, Claimant self) noexcept {
    std::uint64_t own = std::uint64_t{self.slot + 1} << 32 | self.incarnation;
    cell.state.compare_exchange_strong(own, 0, std::memory_order_acq_rel);
}

void record_once(OnceCell& cell, std::uint64_t offset, std::uint64_t size) noexcept {
    cell.result_offset = offset;
    cell.result_size = size;
    cell.state.store(~std::uint64_t{0}, std::memory_order_release);  // pairs with the acquire load in claim_once
}

}  // namespace phoenix
