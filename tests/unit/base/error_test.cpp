#include "phoenix/error.hpp"

#include <gtest/gtest.h>
#include <set>
#include <string>

namespace phoenix {
namespace {

constexpr auto first_code = static_cast<int>(Errc::invalid_argument);
constexpr auto last_code = static_cast<int>(Errc::internal);

TEST(Error, EveryCodeHasANameOfItsOwn) {
    std::set<std::string_view> names;
    for (int code = first_code; code <= last_code; ++code) {
        const std::string_view name = name_of(static_cast<Errc>(code));
        EXPECT_NE(name, "unknown") << "code " << code;
        EXPECT_TRUE(names.insert(name).second) << name << " names two codes";
    }
}

TEST(Error, ACodeFromANewerVersionIsUnknownAndDoesNotCrash) {
    EXPECT_EQ(name_of(static_cast<Errc>(0)), "unknown");
    EXPECT_EQ(name_of(static_cast<Errc>(200)), "unknown");
}

TEST(Error, CarriesCodeAndSentence) {
    try {
        throw Error{Errc::no_memory, "/dev/shm has 64 MiB, 80 are needed"};
    } catch (const std::runtime_error& error) {  // programs that know nothing of phoenix::Error see it, too
        EXPECT_STREQ(error.what(), "/dev/shm has 64 MiB, 80 are needed");
        EXPECT_EQ(dynamic_cast<const Error&>(error).code(), Errc::no_memory);
    }
}

}  // namespace
}  // namespace phoenix
