#include "runtime/printed_text.hpp"

#include <unistd.h>

namespace phoenix {

void put_out_text(const ExtentPool& pool, const DomainHeader& domain, VNodeRecord& record) {
    const std::uint64_t number = record.select.load(std::memory_order_acquire);
    const CommitSlot& slot = slot_of(record, domain, number);
    if (number == 0 || slot.print_size == 0 || record.printed.load(std::memory_order_relaxed) >= slot.number) return;
    const auto* text = reinterpret_cast<const char*>(pool.data(slot.print_extent));
    std::size_t left = slot.print_size;
    while (left > 0) {
        const ssize_t written = write(STDOUT_FILENO, text, left);
        if (written <= 0) break;  // nobody reads any more: the computation goes on
        text += written;
        left -= static_cast<std::size_t>(written);
    }
    record.printed.store(slot.number, std::memory_order_release);
}

}  // namespace phoenix
