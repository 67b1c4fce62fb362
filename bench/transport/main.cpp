// Frames between two processes of one machine, over TCP.
//
//   bench_transport ours       between two hubs
//   bench_transport sockets    the rival: one bare connection, blocking calls

#include "transport/ours.hpp"

#include <cstdio>
#include <string_view>

int main(int argc, char** argv) {
    const std::string_view side = argc == 2 ? argv[1] : "";
    if (side != "ours" && side != "sockets") {
        std::fprintf(stderr, "usage: bench_transport ours|sockets\n");
        return 2;
    }
    bool good = true;
    for (const transport_bench::Case& what : transport_bench::cases) {
        if (what.checked && side == "sockets") continue;
        good = (side == "ours" ? transport_bench::run_ours(what) : transport_bench::run_sockets(what)) && good;
    }
    return good ? 0 : 1;
}
