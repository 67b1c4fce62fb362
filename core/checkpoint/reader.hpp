#pragma once
/// Reading checkpoints: any number of processes, each the VNodes it wants.

#include "checkpoint/cut.hpp"
#include "checkpoint/manifest.hpp"
#include "checkpoint/part_file.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace phoenix::checkpoint {

/// What the program that restarts is; each member left empty accepts anything.
struct Expectation {
    std::optional<std::string> domain{};
    std::optional<std::uint64_t> layout_hash{};
    std::optional<std::uint32_t> vnodes{};
    std::optional<std::vector<FieldLayout>> fields{};
};

/// How much is read to find damage before a checkpoint is called valid.
enum class Verification : std::uint8_t {
    structure,   ///< All but the bulk data, which is verified VNode by VNode as it is read.
    everything,  ///< Every byte.
};

/// One complete checkpoint. Everything handed out was compared with its digest. Not thread-safe; open one per thread.
class CheckpointReader {
  public:
    /// Opens the checkpoint directory `path` itself.
    [[nodiscard]] static Result<CheckpointReader> open(const std::string& path, const Expectation& expected,
                                                       Verification verification);
    CheckpointReader(CheckpointReader&&) noexcept;
    CheckpointReader& operator=(CheckpointReader&&) noexcept;
    ~CheckpointReader();

    [[nodiscard]] const std::string& path() const noexcept;
    [[nodiscard]] const CutDescription& cut() const noexcept;  ///< With records.

    /// Shape of VNode `vnode`'s part of field number `field`. vnode < cut().vnodes, here and below.
    [[nodiscard]] Result<Extents> extents(std::uint32_t vnode, std::size_t field);
    /// Copies that part to `into`, whose extents must be equal to extents(); on failure its content is undefined.
    [[nodiscard]] Result<void> read_field(std::uint32_t vnode, std::size_t field, const MutableFieldView& into);
    [[nodiscard]] Result<std::vector<std::byte>> state(std::uint32_t vnode);
    [[nodiscard]] Result<std::vector<std::vector<std::byte>>> messages(std::uint32_t vnode);
    /// Digest over all of the VNode: shapes, fields, state, messages.
    [[nodiscard]] Result<std::uint64_t> digest(std::uint32_t vnode);

    /// Reads every byte; the failure names the first VNode and field that differ.
    [[nodiscard]] Result<void> verify();

  private:
    struct Impl;
    explicit CheckpointReader(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

struct Opened {
    CheckpointReader reader;
    std::vector<Failure> skipped;  ///< Newer ones that are damaged or torn, newest first: to be reported.
};

/// Opens the newest complete and valid checkpoint in `directory` (or `directory` itself if it is one). One that is
/// torn or corrupt is skipped and reported; one that does not fit `expected` is an error at once: going back further
/// silently is not what its user wants.
[[nodiscard]] Result<Opened> open_latest(const std::string& directory, const Expectation& expected,
                                         Verification verification = Verification::everything);

}  // namespace phoenix::checkpoint
