#include "control/port_address.hpp"

#include <gtest/gtest.h>

namespace phoenix {
namespace {

TEST(PortAddress, ComesBackAsItWas) {
    for (const char* text : {"127.0.0.1:4711", "10.0.0.255:1", "255.255.255.255:65535"})
        EXPECT_EQ(port_address_text(packed_port_address(text)), text);
}

TEST(PortAddress, WhatIsNoneIsNone) {
    for (const char* text : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:12x",
                             "localhost:12", "::1:12", "1.2.3:4"})
        EXPECT_EQ(packed_port_address(text), 0U) << text;
}

}  // namespace
}  // namespace phoenix
