#include "checkpoint/hdf5_file.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <hdf5.h>
#include <string_view>
#include <utility>

namespace phoenix::checkpoint {

namespace {

/// An HDF5 identifier that closes itself.
class Id {
  public:
    using Close = herr_t (*)(hid_t);
    Id() = default;
    Id(hid_t id, Close close) noexcept : id_(id), close_(close) {}
    Id(Id&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
    Id& operator=(Id&& other) noexcept {
        std::swap(id_, other.id_);
        std::swap(close_, other.close_);
        return *this;
    }
    Id(const Id&) = delete;
    Id& operator=(const Id&) = delete;
    ~Id() { reset(); }

    [[nodiscard]] hid_t get() const noexcept { return id_; }
    bool reset() noexcept { return id_ < 0 || close_(std::exchange(id_, -1)) >= 0; }

  private:
    hid_t id_{-1};
    Close close_{nullptr};
};

/// HDF5 prints its error stack by default; here errors become sentences of ours. The setting is per thread.
class Quiet {
  public:
    Quiet() noexcept {
        H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
        H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    }
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;
    ~Quiet() { H5Eset_auto2(H5E_DEFAULT, print_, data_); }

  private:
    H5E_auto2_t print_{};
    void* data_{};
};

/// The innermost reason on HDF5's error stack.
std::string reason() {
    std::string text;
    const auto take = [](unsigned position, const H5E_error2_t* error, void* into) -> herr_t {
        if (position == 0 && error->desc != nullptr) *static_cast<std::string*>(into) = error->desc;
        return 0;
    };
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take, &text);
    return text.empty() ? "no reason given" : text;
}

/// What both directions share: path, file, the first failure.
struct Session {
    Quiet quiet;
    std::string path;
    Id file;
    std::string problem;

    explicit Session(std::string name) : path(std::move(name)) {}

    [[nodiscard]] bool ok() const { return problem.empty(); }
    bool need(bool good, const char* doing, const std::string& what) {
        if (ok() && !good) problem = fmt::format("cannot {} '{}': {}", doing, what, reason());
        return good;
    }
    Id keep(hid_t id, Id::Close close, const char* doing, const std::string& what) {
        need(id >= 0, doing, what);
        return {id, close};
    }
};

Id file_access() {
    Id list{H5Pcreate(H5P_FILE_ACCESS), H5Pclose};
    // Bulk data on page boundaries.
    H5Pset_alignment(list.get(), 65536, 4096);
    // Parallel file systems often have no flock; nobody else opens these files while they are written.
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(list.get(), 0, 1);
#endif
    return list;
}

Id dataset_creation() {
    Id list{H5Pcreate(H5P_DATASET_CREATE), H5Pclose};
    H5Pset_obj_track_times(list.get(), 0);  // a part written again is the same bytes
    return list;
}

Id link_creation() {
    Id list{H5Pcreate(H5P_LINK_CREATE), H5Pclose};
    H5Pset_create_intermediate_group(list.get(), 1);
    return list;
}

/// In the byte order of this machine: data is written as it lies in memory, and the file says which order that is.
Id type_id(ElementType type) {
    const auto native = [](hid_t id) { return Id{H5Tcopy(id), H5Tclose}; };
    switch (type.kind) {
        case ElementKind::floating: return native(type.size_bytes == 4 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE);
        case ElementKind::signed_integer:
            switch (type.size_bytes) {
                case 1: return native(H5T_NATIVE_INT8);
                case 2: return native(H5T_NATIVE_INT16);
                case 4: return native(H5T_NATIVE_INT32);
                default: return native(H5T_NATIVE_INT64);
            }
        case ElementKind::unsigned_integer:
            switch (type.size_bytes) {
                case 1: return native(H5T_NATIVE_UINT8);
                case 2: return native(H5T_NATIVE_UINT16);
                case 4: return native(H5T_NATIVE_UINT32);
                default: return native(H5T_NATIVE_UINT64);
            }
        case ElementKind::opaque: break;
    }
    return {H5Tcreate(H5T_OPAQUE, type.size_bytes), H5Tclose};
}

Id space_of(const std::vector<std::uint64_t>& extents) {
    const std::vector<hsize_t> dimensions(extents.begin(), extents.end());
    return {H5Screate_simple(static_cast<int>(dimensions.size()), dimensions.data(), nullptr), H5Sclose};
}

Id string_type(std::size_t bytes) {
    Id type{H5Tcopy(H5T_C_S1), H5Tclose};
    H5Tset_size(type.get(), bytes);
    H5Tset_cset(type.get(), H5T_CSET_UTF8);
    return type;
}

}  // namespace

void keep_hdf5_out_of_exit() noexcept { H5dont_atexit(); }

struct Hdf5Writer::Impl : Session {
    using Session::Session;

    Id make(const std::string& dataset, const Id& type, const Id& space, const Id& creation) {
        if (!ok()) return {};
        return keep(H5Dcreate2(file.get(), dataset.c_str(), type.get(), space.get(), link_creation().get(),
                               creation.get(), H5P_DEFAULT),
                    H5Dclose, "create dataset", dataset);
    }

    void write(const std::string& dataset, const Id& type, const Id& space, const void* values) {
        const Id id = make(dataset, type, space, dataset_creation());
        if (!ok() || H5Sget_simple_extent_npoints(space.get()) == 0) return;
        need(H5Dwrite(id.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0, "write", dataset);
    }

    void attribute(const std::string& name, const Id& type, const void* value) {
        if (!ok()) return;
        const Id space{H5Screate(H5S_SCALAR), H5Sclose};
        const Id id = keep(H5Acreate2(file.get(), name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT),
                           H5Aclose, "create attribute", name);
        if (ok()) need(H5Awrite(id.get(), type.get(), value) >= 0, "write attribute", name);
    }
};

Hdf5Writer::Hdf5Writer(std::string path) : impl_(std::make_unique<Impl>(std::move(path))) {
    const std::string& name = impl_->path;
    if (file_operation_hook != nullptr) file_operation_hook("create", name);
    impl_->file =
        impl_->keep(H5Fcreate(name.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, file_access().get()), H5Fclose, "create", name);
}

Hdf5Writer::~Hdf5Writer() = default;

void Hdf5Writer::attribute(const std::string& name, std::uint64_t value) {
    impl_->attribute(name, Id{H5Tcopy(H5T_NATIVE_UINT64), H5Tclose}, &value);
}

void Hdf5Writer::attribute(const std::string& name, const std::string& value) {
    impl_->attribute(name, string_type(value.size() + 1), value.c_str());
}

void Hdf5Writer::numbers(const std::string& dataset, std::span<const std::uint64_t> values,
                         const std::vector<std::uint64_t>& extents) {
    impl_->write(dataset, Id{H5Tcopy(H5T_NATIVE_UINT64), H5Tclose}, space_of(extents), values.data());
}

void Hdf5Writer::bytes(const std::string& dataset, std::span<const std::byte> values) {
    impl_->write(dataset, Id{H5Tcopy(H5T_NATIVE_UINT8), H5Tclose}, space_of({values.size()}), values.data());
}

void Hdf5Writer::strings(const std::string& dataset, const std::vector<std::string>& values) {
    std::vector<const char*> pointers;
    for (const std::string& value : values) pointers.push_back(value.c_str());
    impl_->write(dataset, string_type(H5T_VARIABLE), space_of({values.size()}), pointers.data());
}

ByteRange Hdf5Writer::reserve(const std::string& dataset, ElementType type, std::uint64_t elements) {
    const Id creation = dataset_creation();
    H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
    const Id id = impl_->make(dataset, type_id(type), space_of({elements}), creation);
    if (!impl_->ok() || elements == 0) return {};
    const haddr_t offset = H5Dget_offset(id.get());
    if (!impl_->need(offset != HADDR_UNDEF, "find the place of", dataset)) return {};
    return {offset, elements * type.size_bytes};
}

void Hdf5Writer::joined(const std::string& dataset, ElementType type, const std::vector<std::uint64_t>& extents,
                        const std::vector<JoinedPart>& parts) {
    const Id creation = dataset_creation();
    for (const JoinedPart& part : parts) {
        const Id into = space_of(extents);
        const Id from = space_of({part.elements});
        std::vector<hsize_t> start(extents.size(), 0);
        std::vector<hsize_t> count(extents.begin(), extents.end());
        start[0] = part.first;
        count[0] = part.count;
        const bool mapped =
            H5Sselect_hyperslab(into.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr) >= 0 &&
            H5Pset_virtual(creation.get(), into.get(), part.file.c_str(), dataset.c_str(), from.get()) >= 0;
        if (!impl_->need(mapped, "join", dataset)) return;
    }
    static_cast<void>(impl_->make(dataset, type_id(type), space_of(extents), creation));
}

Result<void> Hdf5Writer::close() {
    // A failure to flush shows here.
    impl_->need(impl_->file.reset(), "close", impl_->path);
    if (impl_->ok()) return {};
    // HDF5 hides the system's reason in its text; the sentence for it is better than HDF5's page of figures.
    constexpr std::string_view mark = "errno = ";
    const std::size_t at = impl_->problem.find(mark);
    if (at != std::string::npos) return refused("write", impl_->path, std::atoi(&impl_->problem[at + mark.size()]));
    return fail(FailureKind::system,
                fmt::format("HDF5 could not write '{}': {}; give another directory", impl_->path, impl_->problem));
}

struct Hdf5Reader::Impl : Session {
    using Session::Session;

    /// Opens a dataset and reads all of it by `read(id, elements)`.
    template <typename Read>
    void with_dataset(const std::string& dataset, Read&& read) {
        if (!ok()) return;
        const Id id = keep(H5Dopen2(file.get(), dataset.c_str(), H5P_DEFAULT), H5Dclose, "open dataset", dataset);
        if (!ok()) return;
        const Id space{H5Dget_space(id.get()), H5Sclose};
        const auto elements =
            static_cast<std::size_t>(std::max<hssize_t>(0, H5Sget_simple_extent_npoints(space.get())));
        if (elements > 0) read(id.get(), elements);
    }
};

Hdf5Reader::Hdf5Reader(std::string path) : impl_(std::make_unique<Impl>(std::move(path))) {
    impl_->file =
        impl_->keep(H5Fopen(impl_->path.c_str(), H5F_ACC_RDONLY, file_access().get()), H5Fclose, "open", impl_->path);
}

Hdf5Reader::~Hdf5Reader() = default;

std::uint64_t Hdf5Reader::attribute(const std::string& name) {
    std::uint64_t value = 0;
    if (!impl_->ok()) return value;
    const Id id = impl_->keep(H5Aopen(impl_->file.get(), name.c_str(), H5P_DEFAULT), H5Aclose, "open attribute", name);
    if (impl_->ok()) impl_->need(H5Aread(id.get(), H5T_NATIVE_UINT64, &value) >= 0, "read attribute", name);
    return value;
}

std::string Hdf5Reader::text_attribute(const std::string& name) {
    if (!impl_->ok()) return {};
    const Id id = impl_->keep(H5Aopen(impl_->file.get(), name.c_str(), H5P_DEFAULT), H5Aclose, "open attribute", name);
    if (!impl_->ok()) return {};
    const Id type{H5Aget_type(id.get()), H5Tclose};
    std::string value(H5Tget_size(type.get()), '\0');
    impl_->need(H5Aread(id.get(), type.get(), value.data()) >= 0, "read attribute", name);
    value.resize(std::min(value.size(), value.find('\0')));
    return value;
}

std::vector<std::uint64_t> Hdf5Reader::numbers(const std::string& dataset) {
    std::vector<std::uint64_t> values;
    impl_->with_dataset(dataset, [&](hid_t id, std::size_t elements) {
        values.resize(elements);
        impl_->need(H5Dread(id, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0, "read", dataset);
    });
    return values;
}

std::vector<std::byte> Hdf5Reader::bytes(const std::string& dataset) {
    std::vector<std::byte> values;
    impl_->with_dataset(dataset, [&](hid_t id, std::size_t elements) {
        values.resize(elements);
        impl_->need(H5Dread(id, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0, "read", dataset);
    });
    return values;
}

std::vector<std::string> Hdf5Reader::strings(const std::string& dataset) {
    std::vector<std::string> values;
    impl_->with_dataset(dataset, [&](hid_t id, std::size_t elements) {
        std::vector<char*> pointers(elements, nullptr);
        const Id type = string_type(H5T_VARIABLE);
        if (!impl_->need(H5Dread(id, type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()) >= 0, "read",
                         dataset)) {
            return;
        }
        for (const char* pointer : pointers) values.emplace_back(pointer == nullptr ? "" : pointer);
        const Id space = space_of({elements});
        H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, pointers.data());
    });
    return values;
}

ByteRange Hdf5Reader::range(const std::string& dataset) {
    ByteRange range;
    impl_->with_dataset(dataset, [&](hid_t id, std::size_t elements) {
        const Id type{H5Dget_type(id), H5Tclose};
        const haddr_t offset = H5Dget_offset(id);
        if (impl_->need(offset != HADDR_UNDEF, "find the place of", dataset)) {
            range = {offset, elements * H5Tget_size(type.get())};
        }
    });
    return range;
}

Result<void> Hdf5Reader::failure() const {
    if (impl_->ok()) return {};
    return fail(FailureKind::corrupt, fmt::format("HDF5 could not read '{}': {}", impl_->path, impl_->problem));
}

}  // namespace phoenix::checkpoint
