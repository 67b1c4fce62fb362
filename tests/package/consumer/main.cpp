// A program of a user's: founds a job of one member, runs a domain and checks its result.
#include <cstdint>
#include <iostream>
#include <phoenix/phoenix.hpp>
#ifdef CONSUMER_HAS_MPI
#include <phoenix/mpi.hpp>
#endif

int main(int argc, char** argv) {
#ifdef CONSUMER_HAS_MPI
    phoenix::Runtime runtime{argc, argv, &phoenix::mpi_world()};
#else
    phoenix::Runtime runtime{argc, argv};
#endif
    constexpr std::uint32_t vnodes = 8;
    phoenix::Domain ring = runtime.domain("ring", {.vnodes = vnodes});
    const auto seen = ring.field<std::uint64_t>("seen", phoenix::Shape{1});
    ring.run(3, [&](phoenix::VNode& self) {
        const std::uint32_t next = (self.index() + 1) % vnodes;
        const std::uint32_t previous = (self.index() + vnodes - 1) % vnodes;
        self.send(next, 0, std::uint64_t{self.index()});
        const auto value = self.receive<std::uint64_t>(previous, 0);
        self[seen].write()(0) = self.all_reduce(phoenix::sum, value);
    });
    const bool good = ring.gather(seen, [](const phoenix::Gathered<std::uint64_t>& whole) {
        bool all = true;
        for (std::uint32_t vnode = 0; vnode < whole.vnodes(); ++vnode) all = all && whole[vnode](0) == 28;
        return all;
    });
    std::cout << "consumer of " << CONSUMER_OF << (good ? ": good\n" : ": wrong sum\n");
    return good ? 0 : 1;
}
