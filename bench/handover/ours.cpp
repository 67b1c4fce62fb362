// Hand-over of a large VNode: when its steps begin and end, and in which process.
//
//   bench_handover MIB STEPS full|light    started with pflight run; VNode 0 has a two-buffer field of MIB MiB. full:
//   each
//                                          step reads and writes all of it; light: one element, and works on. Prints a
//                                          line of JSON.

#include "support/samples.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <phoenix/phoenix.hpp>
#include <unistd.h>

namespace {

struct Mark {
    std::int64_t began_ns{0};
    std::int64_t ended_ns{0};
    std::int64_t process{0};
};

void print_marks(const phoenix::ArrayView<const Mark>& marks, std::uint64_t steps, bool good) {
    fmt::print("{{\"case\": \"steps\", \"good\": {}, \"marks\": [", good);
    for (std::uint64_t i = 0; i < steps; ++i)
        fmt::print("{}[{}, {}, {}]", i == 0 ? "" : ", ", marks(i).began_ns, marks(i).ended_ns, marks(i).process);
    fmt::print("]}}\n");
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    const std::uint64_t elements = (argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 256) << 17U;
    const std::uint64_t steps = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 40;
    const bool full = argc <= 3 || std::strcmp(argv[3], "light") != 0;
    phoenix::Runtime runtime{argc, argv};
    auto domain = runtime.domain("handover", {.vnodes = 2});
    const auto data = domain.field<double>(
        "data", [&](std::uint32_t v) { return phoenix::Shape{v == 0 ? elements : 1}; }, {.buffers = 2});
    const auto marks = domain.field<Mark>("marks", phoenix::Shape{steps});
    domain.initialise([&](phoenix::VNode& self) {
        auto next = self[data].next();
        std::fill_n(&next(0), self[data].size(), 1.0);
        std::fill_n(&self[marks].write()(0), steps, Mark{});
    });
    domain.run(steps, [&](phoenix::VNode& self) {
        if (self.index() != 0) return;
        Mark& mark = self[marks].write()(self.step());
        mark.began_ns = bench::now_ns();
        mark.process = getpid();
        const double* now = &self[data].now()(0);
        double* next = &self[data].next()(0);
        for (std::uint64_t i = 0; i < (full ? elements : 1); ++i) next[i] = now[i] + 1.0;
        // Long enough for planned moves to come one by one.
        while (!full && bench::now_ns() < mark.began_ns + 1'000'000) {
        }
        mark.ended_ns = bench::now_ns();
    });
    const double first = domain.gather(data, [](const phoenix::Gathered<double>& whole) { return whole[0](0); });
    domain.gather(marks, [&](const phoenix::Gathered<Mark>& whole) {
        print_marks(whole[0], steps, !full || first == 1.0 + static_cast<double>(steps));
    });
    return 0;
}
