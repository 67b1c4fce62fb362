/// A program of small scenarios for the tests of the runtime: each does one thing, right or wrong, under `pflight run`.

#include <phoenix/phoenix.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <sched.h>
#include <span>
#include <stdexcept>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace {

using phoenix::Field;
using phoenix::Gathered;
using phoenix::Runtime;
using phoenix::Shape;
using phoenix::VNode;

struct Arguments {
    std::uint32_t vnodes;
    std::uint64_t steps;
};

void show(Runtime& runtime, const std::string& text) {
    runtime.once("show", [&] { std::printf("%s\n", text.c_str()); });
}

/// Order-dependent sum over all parts.
double folded(phoenix::Domain& domain, Field<double> field) {
    return domain.gather(field, [](const Gathered<double>& whole) {
        double total = 0;
        for (std::uint32_t v = 0; v < whole.vnodes(); ++v)
            whole[v].interior().for_each_run([&total](const double* run, std::uint64_t n) {
                for (std::uint64_t i = 0; i < n; ++i) total = total * 1.0000001 + run[i];
            });
        return total;
    });
}

/// Ring exchange with a reduction, over the kinds of fields: two-buffer, fixed, resizable.
void ring(Runtime& runtime, const Arguments& arguments, std::uint32_t commit_every, phoenix::Recovery recovery,
          const std::optional<phoenix::Placement>& placement = {}) {
    auto domain = runtime.domain("ring", {.vnodes = arguments.vnodes,
                                          .commit_every = commit_every,
                                          .recovery = recovery,
                                          .seed = 7,
                                          .placement = placement});
    const auto x = domain.field<double>("x", Shape{3, 4}, {.buffers = 2, .halo = 1});
    const auto counter = domain.field<double>("counter", Shape{2});
    const auto list = domain.field<double>("list", Shape{0}, {.resizable = true});
    domain.initialise([&](VNode& self) {
        const auto part = self[x].next();
        for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 4; ++j) part(i, j) = self.index() + 0.1 * i + 0.01 * j;
    });
    const auto step = [&](VNode& self) {
        const std::uint32_t n = self.count();
        const std::uint32_t right = (self.index() + 1) % n;
        const std::uint32_t left = (self.index() + n - 1) % n;
        // Consumed in the other order than sent: tag 2 first.
        self.send(right, 1, self[x].edge(0, phoenix::Side::high));
        self.send(right, 2, self[counter].now()(0));
        const double before = self.receive<double>(left, 2);
        self.receive(left, 1, self[x].halo(0, phoenix::Side::low));
        const auto now = self[x].now();
        const auto next = self[x].next();
        for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 4; ++j) next(i, j) = 0.5 * now(i, j) + 0.4 * now(i - 1, j) + 0.01 * self.uniform();
        self[counter].write()(0) += 1 + 1e-3 * before;
        if (self.step() % 5 == self.index() % 5) self[list].resize(self[list].size() % 7 + 1)(0) = next(0, 0);
        if (self.step() % 10 == 0) {
            const double total = self.all_reduce(phoenix::sum, next(0, 0));
            next(1, 1) += 1e-3 * total + self.broadcast(static_cast<std::uint32_t>(self.step()) % n, total);
        }
    };
    domain.run(arguments.steps / 2, step);
    const double middle = folded(domain, x);
    const auto result = domain.run(arguments.steps - arguments.steps / 2, step);
    char text[256];
    std::snprintf(text, sizeof text, "steps %llu middle %.17g result %.17g %.17g %.17g",
                  static_cast<unsigned long long>(result.steps), middle, folded(domain, x), folded(domain, counter),
                  folded(domain, list));
    show(runtime, text);
}

/// Receives from any source; the sum does not depend on the order.
void any_source(Runtime& runtime, const Arguments& arguments) {
    auto domain =
        runtime.domain("any", {.vnodes = arguments.vnodes, .commit_every = 5, .recovery = phoenix::Recovery::global});
    const auto total = domain.field<std::uint64_t>("total", Shape{1});
    domain.run(arguments.steps, [&](VNode& self) {
        for (std::uint32_t distance = 1; distance <= 3; ++distance)
            self.send((self.index() + distance) % self.count(), 9, std::uint64_t{self.index()} + self.step());
        std::uint64_t sum = 0;
        for (int i = 0; i < 3; ++i) sum += self.view_any<std::uint64_t>(9).values[0];
        self[total].write()(0) += sum;
    });
    const auto sum = domain.gather(total, [](const Gathered<std::uint64_t>& whole) {
        std::uint64_t all = 0;
        for (std::uint32_t v = 0; v < whole.vnodes(); ++v) all += whole[v](0);
        return all;
    });
    show(runtime, "total " + std::to_string(sum));
}

using Scenario = std::function<void(Runtime&, const Arguments&)>;

/// A domain of one field whose step is `step`.
Scenario stepping(const std::function<void(VNode&, Field<double>)>& step, const phoenix::DomainOptions& options = {}) {
    return [step, options](Runtime& runtime, const Arguments& arguments) {
        auto with = options;
        with.vnodes = arguments.vnodes;
        auto domain = runtime.domain("d", with);
        const auto field = domain.field<double>("f", Shape{4}, {.buffers = 2});
        domain.run(arguments.steps, [&](VNode& self) {
            self[field].next()(0) = self[field].now()(0) + 1;
            step(self, field);
        });
        show(runtime, "done");
    };
}

int overflow(int depth) {
    volatile char room[4096];
    room[0] = static_cast<char>(depth);
    return depth == 0 ? room[0] : overflow(depth - 1) + room[0];
}

bool at(const VNode& self, std::uint32_t vnode, std::uint64_t step) {
    return self.index() == vnode && self.step() == step;
}

using Scenarios = std::map<std::string, Scenario>;

/// VNodes in turn to the members, oldest first. `spoiled`: where VNode 5 is put instead, beyond the members there are.
phoenix::Placement dealt(bool spoiled = false) {
    return phoenix::Placement::custom(
        [spoiled](std::uint32_t vnodes, std::span<const phoenix::PlacementMember> members) {
            const auto count = static_cast<std::uint32_t>(members.size());
            std::vector<std::uint32_t> positions(vnodes);
            for (std::uint32_t v = 0; v < vnodes; ++v) positions[v] = spoiled && v == 5 ? count : v % count;
            return positions;
        });
}

/// Binds this process to processor 0 or 1: to that which fewer processes of the job have been bound to before, as told
/// by files in the folder that PHOENIX_TEST_FOLDER names. Before the runtime looks at the machine.
void bind_in_turn() {
    const std::string folder = std::getenv("PHOENIX_TEST_FOLDER");
    int number = 0;
    while (mkdir((folder + "/" + std::to_string(number)).c_str(), 0700) != 0) ++number;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(number % 2, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) throw std::runtime_error("cannot bind");
}

/// Who executed each VNode's first step and its last one, by slot or by processor. With 0 steps it goes on until owners
/// have changed and then not changed any more for long, which is not repeatable: nobody may die.
Scenario telling_owners(const phoenix::DomainOptions& options, bool by_processor) {
    return [options, by_processor](Runtime& runtime, const Arguments& arguments) {
        constexpr double long_enough = 500;
        auto with = options;
        with.vnodes = arguments.vnodes;
        auto domain = runtime.domain("d", with);
        const auto first = domain.field<double>("first", Shape{1});
        const auto last = domain.field<double>("last", Shape{1});
        const auto seen = domain.field<double>("seen", Shape{3});  // digest of owners, steps since, whether it changed
        const auto here = [&] {
            return static_cast<double>(by_processor ? sched_getcpu() : static_cast<int>(runtime.member()));
        };
        const bool until_settled = arguments.steps == 0;
        domain.run(until_settled ? 100'000'000 : arguments.steps, [&](VNode& self) {
            if (self.step() == 0) self[first].write()(0) = here();
            self[last].write()(0) = here();
            const double own = (self.index() + 1.0) * (runtime.member() + 1.0) * (runtime.member() + 1.0);
            const double digest = self.all_reduce(phoenix::sum, until_settled ? own : 0);
            const auto watch = self[seen].write();
            const bool changed = self.step() > 0 && digest != watch(0);
            watch(0) = digest;
            watch(1) = changed ? 0 : watch(1) + 1;
            if (changed) watch(2) = 1;
            if (until_settled && watch(2) > 0 && watch(1) > long_enough) self.stop();
        });
        std::string text;
        for (const auto field : {first, last})
            text += domain.gather(field, [](const Gathered<double>& whole) {
                std::string owners;
                for (std::uint32_t v = 0; v < whole.vnodes(); ++v)
                    owners += std::to_string(static_cast<int>(whole[v](0))) + " ";
                return owners + "\n";
            });
        show(runtime, text);
    };
}

/// Right use: results must not depend on who dies when.
void add_right_use(Scenarios& all) {
    all["ring"] = [](Runtime& r, const Arguments& a) { ring(r, a, 1, phoenix::Recovery::local); };
    all["ring-commit-every-3"] = [](Runtime& r, const Arguments& a) { ring(r, a, 3, phoenix::Recovery::local); };
    all["ring-global"] = [](Runtime& r, const Arguments& a) { ring(r, a, 4, phoenix::Recovery::global); };
    all["any-source"] = any_source;
}

/// Steps that end their executors or the run.
void add_crashes(Scenarios& all) {
    all["throws"] = stepping([](VNode& self, auto) {
        if (at(self, 3, 5)) throw std::runtime_error("the plate has melted");
    });
    all["segfault"] = stepping([](VNode& self, auto) {
        volatile std::uintptr_t nowhere = 8;
        if (at(self, 3, 5)) *reinterpret_cast<volatile int*>(nowhere) = 1;
    });
    all["abort"] = stepping([](VNode& self, auto) {
        if (at(self, 3, 5)) std::abort();
    });
    all["exit"] = stepping([](VNode& self, auto) {
        if (at(self, 3, 5)) std::exit(0);
    });
    all["overflow"] = stepping([](VNode& self, auto) {
        if (at(self, 3, 5)) std::printf("%d\n", overflow(1 << 20));
    });
    all["killed-by-itself"] = stepping([](VNode& self, auto) {
        if (at(self, 3, 5)) kill(getpid(), SIGKILL);
    });
    all["deadlock"] = stepping([](VNode& self, auto) {
        if (self.step() == 4 && self.index() < 2) (void)self.receive<double>(1 - self.index(), 77);
    });
}

/// Wrong calls in a step.
void add_wrong_calls(Scenarios& all) {
    all["stop"] = stepping([](VNode& self, auto) {
        if (self.step() == 6) self.stop();
    });
    all["stop-by-one"] = stepping([](VNode& self, auto) {
        if (at(self, 2, 6)) self.stop();
    });
    all["tag-out-of-range"] = stepping([](VNode& self, auto) { self.send(0, 1U << 24, 1.0); });
    all["vnode-out-of-range"] = stepping([](VNode& self, auto) { self.send(self.count(), 1, 1.0); });
    all["size-mismatch"] = stepping([](VNode& self, auto) {
        self.send(self.index(), 1, 1.0F);
        (void)self.receive<double>(self.index(), 1);
    });
    all["wrong-accessor"] = stepping([](VNode& self, auto field) { self[field].write()(0) = 1; });
    all["any-in-local"] = stepping([](VNode& self, auto) { (void)self.view_any<double>(1); });
    all["static-variable"] = stepping([](VNode& self, auto field) {
        static double calls = 0;
        if (self.step() > 3) self[field].next()(1) = ++calls;
    });
    all["random-message"] = stepping([](VNode& self, auto) {
        self.send(self.index(), 5, self.step() == 4 ? static_cast<double>(std::random_device{}()) : 1.0);
        (void)self.receive<double>(self.index(), 5);
    });
}

/// What steps may do besides.
void add_other_steps(Scenarios& all) {
    all["prints"] = stepping([](VNode& self, auto) {
        if (self.step() % 10 == 0)
            self.print("VNode " + std::to_string(self.index()) + " step " + std::to_string(self.step()) + "\n");
    });
    all["non-commutative"] = stepping([](VNode& self, auto) {
        // 2x2 matrices do not commute; the product in the order of VNodes is known.
        struct Matrix {
            std::uint32_t a, b, c, d;
        };
        const Matrix mine{1, self.index() + 1, 0, 1 + self.index() % 2};
        const auto product = [](const Matrix& x, const Matrix& y) {
            return Matrix{x.a * y.a + x.b * y.c, x.a * y.b + x.b * y.d, x.c * y.a + x.d * y.c, x.c * y.b + x.d * y.d};
        };
        const Matrix all_of_them = self.all_reduce(product, mine);
        Matrix expected{1, 1, 0, 1};
        for (std::uint32_t v = 1; v < self.count(); ++v) expected = product(expected, Matrix{1, v + 1, 0, 1 + v % 2});
        if (std::memcmp(&all_of_them, &expected, sizeof expected) != 0) throw std::runtime_error("wrong product");
        self.barrier();
    });
    all["large-messages"] = stepping([](VNode& self, auto) {
        const std::uint32_t to = (self.index() + 1) % self.count();
        const std::uint32_t from = (self.index() + self.count() - 1) % self.count();
        std::vector<double> values(100'000, self.index() + 0.5);
        self.send(to, 1, std::span<const double>{values});
        auto loan = self.loan<double>(3000);
        for (double& value : loan.values()) value = self.index();
        loan.send(to, 2);
        self.send(to, 3, std::span<const double>{});
        const auto in_place = self.view<double>(from, 2);
        if (in_place.values.size() != 3000 || in_place.values[2999] != from) throw std::runtime_error("wrong loan");
        self.receive(from, 1, std::span<double>{values});
        if (values.back() != from + 0.5) throw std::runtime_error("wrong payload");
        self.receive(from, 3, std::span<double>{});
    });
    all["unread-messages"] = stepping([](VNode& self, auto) {
        // Everybody sends far ahead of what VNode 0 reads: memory must come back as it commits.
        if (self.index() != 0) {
            self.send(0, 1, std::span<const double>{std::vector<double>(4000, 1.0)});
        } else {
            for (std::uint32_t v = 1; v < self.count(); ++v) (void)self.view<double>(v, 1);
        }
    });
    all["too-much-memory"] = stepping([](VNode& self, auto) {
        const std::vector<double> megabyte(1 << 17, 1.0);
        for (int i = 0; i < 100'000; ++i)
            self.send((self.index() + 1) % self.count(), 1, std::span<const double>{megabyte});
    });
}

/// Says at once which member executes which step, as often as it does.
void add_bystanders(Scenarios& all) {
    all["bystanders"] = [](Runtime& runtime, const Arguments& a) {
        auto domain = runtime.domain("d", {.vnodes = a.vnodes});
        const auto f = domain.field<double>("f", Shape{1}, {.buffers = 2});
        domain.run(a.steps, [&](VNode& self) {
            self.send((self.index() + 1) % self.count(), 1, self[f].now()(0));
            self[f].next()(0) = self.receive<double>((self.index() + self.count() - 1) % self.count(), 1) + 1;
            const std::string line = "ran " + std::to_string(self.index()) + " " + std::to_string(self.step()) + " " +
                                     std::to_string(runtime.member()) + "\n";
            if (write(STDOUT_FILENO, line.data(), line.size()) < 0) throw std::runtime_error("nobody reads");
        });
    };
}

/// Placements, of the application and of the library.
void add_placements(Scenarios& all) {
    all["dealt"] = telling_owners({.placement = dealt()}, false);
    all["by-numa"] = telling_owners({.placement = phoenix::Placement::topology()}, true);
    all["on-ring"] = telling_owners({.placement = phoenix::Placement::ring()}, false);
    all["dealt-ring"] = [](Runtime& r, const Arguments& a) { ring(r, a, 1, phoenix::Recovery::local, dealt()); };
    all["misplaced"] = stepping([](VNode&, auto) {}, {.placement = dealt(true)});
    all["placement-throws"] =
        stepping([](VNode&, auto) {},
                 {.placement = phoenix::Placement::custom(
                      [](std::uint32_t, std::span<const phoenix::PlacementMember>) -> std::vector<std::uint32_t> {
                          throw std::runtime_error("the map is lost");
                      })});
    all["no-tokens"] = stepping([](VNode&, auto) {}, {.placement = phoenix::Placement::ring(0)});
    all["no-function"] = stepping([](VNode&, auto) {}, {.placement = phoenix::Placement::custom({})});
    all["different-placements"] = [](Runtime& runtime, const Arguments& a) {
        auto domain =
            runtime.domain("d", {.vnodes = a.vnodes, .placement = phoenix::Placement::ring(1 + runtime.member())});
        domain.run(1, [](VNode&) {});
    };
}

/// Wrong declarations.
void add_wrong_declarations(Scenarios& all) {
    all["two-domains-of-one-name"] = [](Runtime& runtime, const Arguments& a) {
        (void)runtime.domain("d", {.vnodes = a.vnodes});
        (void)runtime.domain("d", {.vnodes = a.vnodes});
    };
    all["no-vnodes"] = [](Runtime& runtime, const Arguments&) { (void)runtime.domain("d", {.vnodes = 0}); };
    all["bad-shape"] = [](Runtime& runtime, const Arguments& a) {
        auto domain = runtime.domain("d", {.vnodes = a.vnodes});
        (void)domain.field<double>("f", [](std::uint32_t v) { return v == 2 ? Shape{3} : Shape{3, 3}; });
        domain.run(1, [](VNode&) {});
    };
    all["bad-halo"] = [](Runtime& runtime, const Arguments& a) {
        auto domain = runtime.domain("d", {.vnodes = a.vnodes});
        (void)domain.field<double>("f", Shape{3}, {.halo = 1});
    };
    all["huge-field"] = [](Runtime& runtime, const Arguments& a) {
        auto domain = runtime.domain("d", {.vnodes = a.vnodes});
        (void)domain.field<double>("f", Shape{1ULL << 40});
        domain.run(1, [](VNode&) {});
    };
    all["different-mains"] = [](Runtime& runtime, const Arguments& a) {
        auto domain = runtime.domain("d", {.vnodes = a.vnodes});
        (void)domain.field<double>("f", Shape{1U + runtime.member()});
        domain.run(1, [](VNode&) {});
    };
    all["message-in-initialise"] = [](Runtime& runtime, const Arguments& a) {
        auto domain = runtime.domain("d", {.vnodes = a.vnodes});
        domain.initialise([](VNode& self) { self.send(0, 1, 1.0); });
    };
}

/// Programs of several phases, and of spaces.
void add_programs(Scenarios& all) {
    all["main-throws"] = [](Runtime&, const Arguments&) { throw std::runtime_error("main has had enough"); };
    all["many-phases"] = [](Runtime& runtime, const Arguments& a) {
        auto domain = runtime.domain("d", {.vnodes = a.vnodes});
        const auto f = domain.field<double>("f", Shape{2}, {.buffers = 2});
        double sum = 0;
        for (int phase = 0; phase < 20; ++phase) {
            const auto result = domain.run(a.steps, [&](VNode& self) {
                self.send((self.index() + 1) % self.count(), 3, self[f].now()(0));
                self[f].next()(0) = self.receive<double>((self.index() + self.count() - 1) % self.count(), 3) + 1;
                if (self.step() + 1 == a.steps / 2 && phase % 2 == 1) self.stop();
            });
            sum = sum * 1.01 + static_cast<double>(result.steps) + (result.stopped ? 0.5 : 0) + folded(domain, f);
            sum += runtime.once("phase " + std::to_string(phase), [&] { return phase * 1.0; });
        }
        char text[64];
        std::snprintf(text, sizeof text, "sum %.17g", sum);
        show(runtime, text);
    };
    all["last-words"] = [](Runtime& runtime, const Arguments&) {
        bool mine = false;
        runtime.once("said", [&] {
            mine = true;
            std::printf("said\n");
        });
        if (mine) kill(getpid(), SIGKILL);  // whoever goes on prints nothing
    };
    all["space-death"] = [](Runtime& runtime, const Arguments& a) {
        auto space = runtime.space("s", {.vnodes = a.vnodes});
        std::vector<std::uint32_t> mine{runtime.member()};
        (void)space.assume(mine);
        if (runtime.member() == 1) kill(getpid(), SIGKILL);
        (void)space.receive();
    };
    all["space-deadlock"] = [](Runtime& runtime, const Arguments& a) {
        auto space = runtime.space("s", {.vnodes = a.vnodes});
        std::vector<std::uint32_t> mine{runtime.member()};
        (void)space.assume(mine);
        (void)space.receive();
    };
}

Scenarios scenarios() {
    Scenarios all;
    add_right_use(all);
    add_crashes(all);
    add_wrong_calls(all);
    add_other_steps(all);
    add_bystanders(all);
    add_placements(all);
    add_wrong_declarations(all);
    add_programs(all);
    return all;
}

}  // namespace

int main(int argc, char** argv) {
    const auto all = scenarios();
    if (argc < 2 || all.find(argv[1]) == all.end()) {
        std::fprintf(stderr, "usage: scenario NAME [VNODES] [STEPS]; names:");
        for (const auto& entry : all) std::fprintf(stderr, " %s", entry.first.c_str());
        std::fprintf(stderr, "\n");
        return 2;
    }
    const Arguments arguments{argc > 2 ? static_cast<std::uint32_t>(std::strtoul(argv[2], nullptr, 10)) : 8,
                              argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 20};
    if (std::strcmp(argv[1], "by-numa") == 0) bind_in_turn();
    Runtime runtime{argc, argv};
    all.at(argv[1])(runtime, arguments);
}
