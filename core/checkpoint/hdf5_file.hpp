#pragma once
/// The few things checkpoints do with HDF5, behind plain types. hdf5.h is included by hdf5_file.cpp alone.

#include "checkpoint/cut.hpp"
#include "checkpoint/files.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace phoenix::checkpoint {

/// Keeps HDF5 from closing what is open when the process exits. A file that could not be closed because the disk is
/// full stays half closed inside HDF5, which then crashes in its exit handler. Works only before the first call of HDF5
/// in the process; idempotent. Whoever uses HDF5 in the same process must close his files himself.
void keep_hdf5_out_of_exit() noexcept;

/// One source of a joined dataset: all elements of a one-dimensional dataset of another file, in row-major order.
struct JoinedPart {
    std::string file;  ///< Relative to the file that joins.
    std::uint64_t elements{};
    std::uint64_t first{};  ///< Index along the first axis of the joined dataset.
    std::uint64_t count{};  ///< Extent along that axis; not 0.
};

/// Writes one HDF5 file. The first failure sticks: later calls do nothing, and close() reports it.
class Hdf5Writer {
  public:
    explicit Hdf5Writer(std::string path);
    Hdf5Writer(const Hdf5Writer&) = delete;
    Hdf5Writer& operator=(const Hdf5Writer&) = delete;
    ~Hdf5Writer();

    void attribute(const std::string& name, std::uint64_t value);
    void attribute(const std::string& name, const std::string& value);
    /// Groups in `dataset` paths are made as needed, here and below.
    void numbers(const std::string& dataset, std::span<const std::uint64_t> values,
                 const std::vector<std::uint64_t>& extents);
    void bytes(const std::string& dataset, std::span<const std::byte> values);
    void strings(const std::string& dataset, const std::vector<std::string>& values);
    /// A one-dimensional dataset whose bytes the caller writes to the range returned, after close(). It is in one
    /// piece of the file, unfiltered, so no library stands between memory and disk; {0, 0} if empty.
    [[nodiscard]] ByteRange reserve(const std::string& dataset, ElementType type, std::uint64_t elements);
    /// A virtual dataset: one mapping per part.
    void joined(const std::string& dataset, ElementType type, const std::vector<std::uint64_t>& extents,
                const std::vector<JoinedPart>& parts);

    [[nodiscard]] Result<void> close();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Reads one HDF5 file whose bytes were verified before. The first failure sticks; check failure() at the end.
class Hdf5Reader {
  public:
    explicit Hdf5Reader(std::string path);
    Hdf5Reader(const Hdf5Reader&) = delete;
    Hdf5Reader& operator=(const Hdf5Reader&) = delete;
    ~Hdf5Reader();

    [[nodiscard]] std::uint64_t attribute(const std::string& name);
    [[nodiscard]] std::string text_attribute(const std::string& name);
    [[nodiscard]] std::vector<std::uint64_t> numbers(const std::string& dataset);
    [[nodiscard]] std::vector<std::byte> bytes(const std::string& dataset);
    [[nodiscard]] std::vector<std::string> strings(const std::string& dataset);
    /// Where the bytes of a dataset made by Hdf5Writer::reserve lie.
    [[nodiscard]] ByteRange range(const std::string& dataset);

    [[nodiscard]] Result<void> failure() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace phoenix::checkpoint
