#include "checkpoint/cut.hpp"

#include <fmt/format.h>
#include <set>
#include <string_view>

namespace phoenix::checkpoint {

std::string name_of(ElementType type) {
    switch (type.kind) {
        case ElementKind::floating: return fmt::format("float{}", 8 * type.size_bytes);
        case ElementKind::signed_integer: return fmt::format("int{}", 8 * type.size_bytes);
        case ElementKind::unsigned_integer: return fmt::format("uint{}", 8 * type.size_bytes);
        case ElementKind::opaque: break;
    }
    return fmt::format("opaque[{}]", type.size_bytes);
}

namespace {

bool ends_with(std::string_view text, std::string_view end) { return text.ends_with(end); }

bool storable(ElementType type) {
    const std::uint32_t size = type.size_bytes;
    switch (type.kind) {
        case ElementKind::floating: return size == 4 || size == 8;
        case ElementKind::signed_integer:
        case ElementKind::unsigned_integer: return size == 1 || size == 2 || size == 4 || size == 8;
        case ElementKind::opaque: return size > 0;
    }
    return false;
}

}  // namespace

Result<void> check(const CutDescription& cut) {
    const auto refuse = [&](std::string_view what) {
        return fail(FailureKind::invalid_argument,
                    fmt::format("domain '{}' cannot be checkpointed: {}", cut.domain, what));
    };
    if (cut.domain.empty()) return refuse("it has no name");
    if (cut.vnodes == 0) return refuse("it has no VNodes");
    std::set<std::string_view> names;
    for (const FieldLayout& field : cut.fields) {
        if (field.name.empty() || field.name.find('/') != std::string::npos || field.name == "." ||
            ends_with(field.name, ".offsets") || ends_with(field.name, ".shapes")) {
            return refuse(
                fmt::format("the field name '{}' is empty, holds a '/' or ends in .offsets or .shapes; "
                            "rename the field",
                            field.name));
        }
        if (!names.insert(field.name).second) return refuse(fmt::format("two fields are named '{}'", field.name));
        if (field.rank > rank_max) return refuse(fmt::format("field '{}' has more than 3 dimensions", field.name));
        if (field.rank == 0 && field.resizable) return refuse(fmt::format("field '{}' is a scalar", field.name));
        if (!storable(field.type)) {
            return refuse(fmt::format("field '{}' has elements of type {}", field.name, name_of(field.type)));
        }
    }
    return {};
}

}  // namespace phoenix::checkpoint
