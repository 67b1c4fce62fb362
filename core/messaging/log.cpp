#include "messaging/log.hpp"

namespace phoenix {

namespace {

// Unique among the chunks of this member, whatever logs they serve; a chunk may serve another log next time.
std::uint64_t next_use() noexcept {
    static std::uint64_t use = 0;
    return ++use;
}

}  // namespace

tl::expected<void, Failure> LogWriter::add_chunk() {
    // What was released lately is in the caches still; new memory costs page faults on both sides.
    reclaim_some_chunks();
    // Made whole as `cached`, then assigned: whoever scans chunks finds whole ones only.
    auto extent = pool_->allocate(chunk_size, ExtentKind::cached);
    if (!extent) return tl::unexpected(std::move(extent.error()));
    auto* header = reinterpret_cast<ChunkHeader*>(pool_->data(*extent));
    header->use = next_use();
    header->writer = ends_.writer;
    header->reader = ends_.reader;
    header->extent = *extent;
    for (auto& word : header->released) word.store(0, std::memory_order_relaxed);  // published by assign()
    (reinterpret_cast<Record*>(header) + chunk_first_line)->stamp.store(0, std::memory_order_relaxed);
    pool_->assign(*extent, ExtentKind::chunk, 0, 0);
    const std::uint64_t offset = pool_->offset(*extent);
    if (current_ == nullptr) {
        // Pairs with the acquire load where the reader looks for logs.
        head_->store(LogHead::make(offset, ends_.reader_incarnation).bits, std::memory_order_release);
        is_new_ = true;
    } else {
        Record& link = reinterpret_cast<Record*>(current_)[line_];
        link.tag_kind = static_cast<std::uint32_t>(RecordKind::link);
        link.length = 0;
        link.next_chunk = offset;
        chunks_.back().records[line_ / 64] |= std::uint64_t{1} << (line_ % 64);
        link.stamp.store(stamp_of(use_, line_), std::memory_order_release);
    }
    current_ = header;
    use_ = header->use;
    line_ = chunk_first_line;
    cleared_ = chunk_first_line + 1;
    chunks_.push_back({header, {}});
    return {};
}

tl::expected<RecordRef, Failure> LogWriter::append_large(const RecordHead& head, const void* data, std::uint64_t size) {
    if (size <= chunk_payload_max) {
        const auto lines = static_cast<std::uint32_t>(1 + (size + line_size - 1) / line_size);
        auto place = claim(lines);
        if (!place) return place;
        std::memcpy(reinterpret_cast<std::byte*>(place->record + 1), data, size);
        publish(*place, head, RecordKind::chunk_payload, static_cast<std::uint32_t>(size), lines);
        return place;
    }
    auto extent = pool_->allocate(size, ExtentKind::payload);
    if (!extent) return tl::unexpected(std::move(extent.error()));
    std::memcpy(pool_->data(*extent), data, size);
    auto place = append_extent(head, *extent, size);
    if (!place) pool_->free(*extent);
    return place;
}

tl::expected<RecordRef, Failure> LogWriter::append_extent(const RecordHead& head, ExtentId extent, std::uint64_t size) {
    auto place = claim(1);
    if (!place) return place;
    place->record->large.size = size;
    place->record->large.extent = extent;
    payloads_.push_back({*place, extent});
    publish(*place, head, RecordKind::extent_payload, 0, 1);
    reclaim_some_payloads();
    return place;
}

void LogWriter::reclaim_payloads() noexcept {
    std::erase_if(payloads_, [this](const Payload& payload) {
        if (!payload.record.released()) return false;
        pool_->free(payload.extent);
        return true;
    });
}

void LogWriter::reclaim() noexcept {
    reclaim_payloads();
    // Chunks go in any order, but for the one being written.
    for (auto chunk = chunks_.begin(); chunks_.size() > 1 && chunk != chunks_.end() - 1;) {
        if (all_released(*chunk, false)) {
            give_back(*chunk);
            chunk = chunks_.erase(chunk);
        } else {
            ++chunk;
        }
    }
}

void LogWriter::close() noexcept {
    // Relaxed: the reader is gone, and its successor begins only where its own incarnation stands.
    head_->store(0, std::memory_order_relaxed);
}

bool LogWriter::reclaim_closed() noexcept {
    reclaim_payloads();
    std::erase_if(chunks_, [this](const Chunk& chunk) {
        if (!all_released(chunk, true)) return false;
        give_back(chunk);
        return true;
    });
    return chunks_.empty();
}

// Whether nobody reads the chunk any more. The link to the next chunk may stay unreleased when its reader is gone.
bool LogWriter::all_released(const Chunk& chunk, bool reader_gone) noexcept {
    std::uint64_t missing = 0;
    std::uint32_t word_of_missing = 0;
    unsigned missing_count = 0;
    for (std::uint32_t word = 0; word < 16; ++word) {
        const std::uint64_t bits = chunk.records[word] & ~chunk.header->released[word].load(std::memory_order_acquire);
        missing_count += static_cast<unsigned>(std::popcount(bits));
        if (bits != 0) missing = bits, word_of_missing = word;
    }
    if (missing_count == 0) return true;
    if (!reader_gone || missing_count != 1) return false;
    const std::uint32_t line = word_of_missing * 64 + static_cast<std::uint32_t>(std::countr_zero(missing));
    return reinterpret_cast<const Record*>(chunk.header)[line].kind() == RecordKind::link;
}

void LogWriter::give_back(const Chunk& chunk) noexcept {
    // Those released since anybody looked: whether they are can only be read while the chunk is ours.
    std::erase_if(payloads_, [&](const Payload& payload) {
        if (payload.record.chunk != chunk.header) return false;
        pool_->free(payload.extent);
        return true;
    });
    pool_->free(chunk.header->extent);
}

// A few in turn, so that one record that stays for long does not keep what comes after it.
void LogWriter::reclaim_some_chunks() noexcept {
    constexpr int looks = 4;
    for (int look = 0; look < looks && chunks_.size() > 1; ++look) {
        if (looked_at_ >= chunks_.size() - 1) looked_at_ = 0;
        const auto chunk = chunks_.begin() + static_cast<std::ptrdiff_t>(looked_at_);
        if (!all_released(*chunk, false)) {
            ++looked_at_;
            continue;
        }
        give_back(*chunk);
        chunks_.erase(chunk);
    }
}

void LogWriter::reclaim_some_payloads() noexcept {
    constexpr std::size_t looks = 4;
    for (std::size_t look = std::min(looks, payloads_.size()); look > 0; --look) {
        const Payload oldest = payloads_.front();
        payloads_.pop_front();
        if (oldest.record.released())
            pool_->free(oldest.extent);
        else
            payloads_.push_back(oldest);
    }
}

}  // namespace phoenix
