#include <iostream>
#include <phoenix/error.hpp>

int main() {
    try {
        throw phoenix::Error{phoenix::Errc::refused, "a sentence"};
    } catch (const phoenix::Error& error) {
        // name_of is a function of the library: it links, too.
        if (phoenix::name_of(error.code()) != "refused") return 1;
    }
    std::cout << "consumer of " << CONSUMER_OF << ": good\n";
    return 0;
}
