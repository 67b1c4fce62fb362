/// The handshake as bytes in and bytes out: who gets in, who does not, and what each is told.

#include "transport/handshake.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <random>
#include <string_view>

namespace phoenix {
namespace {

using Progress = Handshake::Progress;

JobSecret secret_from(std::uint8_t seed) {
    JobSecret secret;
    for (std::size_t i = 0; i < secret.size(); ++i) secret[i] = static_cast<std::uint8_t>(seed + i);
    return secret;
}
Nonce nonce_from(std::uint8_t seed) {
    Nonce nonce{};
    nonce.fill(seed);
    return nonce;
}

struct Sides {
    std::string_view job = "job";
    std::string_view called_job = "job";
    JobSecret secret = secret_from(1);
    JobSecret called_secret = secret_from(1);
    Introduction own{NodeId{1}, NodeId{2}, SessionId{11}, 5, ConnectionKind::data, 1, 2, 4711};
    NodeId called{2};
    std::uint8_t caller_nonce = 1;
    std::uint8_t called_nonce = 2;
};

/// What became of both, and the bytes each sent.
struct Outcome {
    Progress caller{Progress::waiting};
    Progress called{Progress::waiting};
    RefusalReason caller_reason{};
    RefusalReason called_reason{};
    std::vector<std::byte> from_caller;
    std::vector<std::byte> from_called;
};

/// Feeds what the other side sent, `step` bytes at a time; gives back the last progress and what was left over.
Progress feed(Handshake& side, std::vector<std::byte>& bytes, std::size_t step) {
    Progress progress = Progress::waiting;
    while (!bytes.empty() && side.wanted() > 0 && progress == Progress::waiting) {
        const std::size_t size = std::min({bytes.size(), side.wanted(), step});
        progress = side.feed(std::span{bytes}.first(size));
        bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    }
    return progress;
}

using Change = std::function<void(std::vector<std::byte>&, int message)>;

/// Runs both sides against each other; `change` sees each message on its way, numbered 0 to 3.
Outcome meet(const Sides& sides, std::size_t step = 1000, const Change& change = {}) {
    Handshake caller = Handshake::initiate(sides.job, sides.secret, sides.own, nonce_from(sides.caller_nonce));
    Handshake called =
        Handshake::respond(sides.called_job, sides.called_secret, sides.called, nonce_from(sides.called_nonce));
    Outcome outcome;
    for (int message = 0; message < 4; ++message) {
        const bool to_called = message % 2 == 0;
        Handshake& from = to_called ? caller : called;
        Handshake& to = to_called ? called : caller;
        std::vector<std::byte> bytes = from.take_output();
        auto& log = to_called ? outcome.from_caller : outcome.from_called;
        log.insert(log.end(), bytes.begin(), bytes.end());
        if (bytes.empty() || to.wanted() == 0) continue;
        if (change) change(bytes, message);
        Progress& progress = to_called ? outcome.called : outcome.caller;
        progress = feed(to, bytes, step);
        if (progress == Progress::hello) {
            called.challenge({NodeId{2}, called.peer().from, SessionId{22}, 6, called.peer().connection,
                              called.peer().stream, 3, 4712});
            progress = Progress::waiting;
        }
        if (progress == Progress::proven) called.welcome();
        if (progress == Progress::refused || progress == Progress::failed)
            (to_called ? outcome.called_reason : outcome.caller_reason) = to.reason();
    }
    return outcome;
}

TEST(Handshake, LetsBothInWhoHaveTheSecretHoweverTheBytesCome) {
    for (const std::size_t step : {1U, 7U, 16U, 1000U}) {
        const Outcome outcome = meet({}, step);
        EXPECT_EQ(outcome.caller, Progress::done);
        EXPECT_EQ(outcome.called, Progress::proven);
    }
}

TEST(Handshake, TellsEachSideWhatTheOtherSaid) {
    const Sides sides;
    Handshake caller = Handshake::initiate(sides.job, sides.secret, sides.own, nonce_from(1));
    Handshake called = Handshake::respond(sides.job, sides.secret, sides.called, nonce_from(2));
    std::vector<std::byte> bytes = caller.take_output();
    ASSERT_EQ(feed(called, bytes, 1000), Progress::hello);
    EXPECT_EQ(called.peer().from, NodeId{1});
    EXPECT_EQ(called.peer().session, SessionId{11});
    EXPECT_EQ(called.peer().life, 5U);
    EXPECT_EQ(called.peer().stream, 1);
    EXPECT_EQ(called.peer().port, 4711);
    EXPECT_EQ(called.wanted(), 0U);
}

TEST(Handshake, RefusesAnotherSecretAndShowsNothingMadeWithItsOwn) {
    Sides sides;
    sides.secret = secret_from(9);
    const Outcome outcome = meet(sides);
    EXPECT_EQ(outcome.called, Progress::failed);
    EXPECT_EQ(outcome.called_reason, RefusalReason::secret);
    EXPECT_EQ(outcome.caller, Progress::refused);
    EXPECT_EQ(outcome.caller_reason, RefusalReason::secret);
    // A challenge and a refusal: no code.
    EXPECT_EQ(outcome.from_called.size(), sizeof(IntroductionMessage) + sizeof(MessagePrefix));
}

TEST(Handshake, TheSecretDoesNotTravel) {
    const Sides sides;
    const Outcome outcome = meet(sides);
    for (const auto& bytes : {outcome.from_caller, outcome.from_called})
        for (std::size_t length = 8; length <= sides.secret.size(); length += 8) {
            const auto part = std::as_bytes(std::span{sides.secret}.first(length));
            EXPECT_EQ(std::search(bytes.begin(), bytes.end(), part.begin(), part.end()), bytes.end());
        }
}

TEST(Handshake, RefusesAnotherJobAndAnotherNode) {
    Sides sides;
    sides.job = "jobs";
    EXPECT_EQ(meet(sides).called_reason, RefusalReason::job);
    EXPECT_EQ(meet(sides).caller_reason, RefusalReason::job);
    sides = {};
    sides.called = NodeId{3};
    EXPECT_EQ(meet(sides).called_reason, RefusalReason::node);
    sides = {};
    sides.own.from = NodeId{2};
    EXPECT_EQ(meet(sides).called_reason, RefusalReason::node);
}

void set_version(std::vector<std::byte>& bytes, std::uint16_t version) {
    std::memcpy(bytes.data() + offsetof(MessagePrefix, version), &version, sizeof version);
}

TEST(Handshake, TwoVersionsTellEachOtherSo) {
    const Outcome old_caller = meet({}, 1000, [](std::vector<std::byte>& bytes, int message) {
        if (message == 0) set_version(bytes, protocol_version + 1);
        // The refusal of another version is understood all the same.
        if (message == 1) set_version(bytes, protocol_version + 1);
    });
    EXPECT_EQ(old_caller.called_reason, RefusalReason::version);
    EXPECT_EQ(old_caller.caller_reason, RefusalReason::version);
    EXPECT_EQ(old_caller.caller, Progress::refused);
    const Outcome old_called = meet({}, 1000, [](std::vector<std::byte>& bytes, int message) {
        if (message == 1) set_version(bytes, protocol_version + 1);
    });
    EXPECT_EQ(old_called.caller, Progress::failed);
    EXPECT_EQ(old_called.caller_reason, RefusalReason::version);
    EXPECT_EQ(old_called.called, Progress::refused);
    EXPECT_EQ(old_called.called_reason, RefusalReason::version);
}

TEST(Handshake, NoByteOfAnyMessageCanBeChanged) {
    const Outcome good = meet({});
    const std::size_t sizes[] = {sizeof(IntroductionMessage), sizeof(IntroductionMessage), sizeof(ProofMessage),
                                 sizeof(ProofMessage)};
    for (int message = 0; message < 4; ++message)
        for (std::size_t at = 0; at < sizes[message]; ++at)
            for (const int bit : {0, 7}) {
                const Outcome outcome = meet({}, 1000, [&](std::vector<std::byte>& bytes, int number) {
                    if (number == message && at < bytes.size()) bytes[at] ^= static_cast<std::byte>(1 << bit);
                });
                ASSERT_NE(outcome.caller, Progress::done) << "message " << message << " byte " << at;
                const bool called_is_last = message == 3;
                ASSERT_TRUE(called_is_last || outcome.called != Progress::proven)
                    << "message " << message << " byte " << at;
            }
    EXPECT_EQ(good.caller, Progress::done);
}

TEST(Handshake, ARecordedOneProvesNothingToANewNonce) {
    const Outcome recorded = meet({});
    Handshake called = Handshake::respond("job", secret_from(1), NodeId{2}, nonce_from(77));
    std::vector<std::byte> bytes = recorded.from_caller;
    ASSERT_EQ(feed(called, bytes, 1000), Progress::hello);
    called.challenge({NodeId{2}, NodeId{1}, SessionId{22}, 6, ConnectionKind::data, 1, 3, 4712});
    EXPECT_EQ(feed(called, bytes, 1000), Progress::failed);
    EXPECT_EQ(called.reason(), RefusalReason::secret);

    Handshake caller = Handshake::initiate("job", secret_from(1), Sides{}.own, nonce_from(78));
    bytes = recorded.from_called;
    EXPECT_EQ(feed(caller, bytes, 1000), Progress::failed);
    EXPECT_EQ(caller.reason(), RefusalReason::secret);
}

TEST(Handshake, NobodyGetsInWithItsOwnWordsSentBack) {
    // To whoever calls: its own hello as challenge, its own proof as welcome.
    Handshake caller = Handshake::initiate("job", secret_from(1), Sides{}.own, nonce_from(1));
    std::vector<std::byte> bytes = caller.take_output();
    bytes[offsetof(MessagePrefix, kind)] = static_cast<std::byte>(MessageKind::challenge);
    EXPECT_EQ(feed(caller, bytes, 1000), Progress::failed);

    // The proof of a caller as the welcome of who was called, all else being right.
    std::vector<std::byte> proof;
    const Outcome outcome = meet({}, 1000, [&](std::vector<std::byte>& message, int number) {
        if (number == 2) proof = message;
        if (number == 3) {
            message = proof;
            message[offsetof(MessagePrefix, kind)] = static_cast<std::byte>(MessageKind::welcome);
        }
    });
    EXPECT_EQ(outcome.caller, Progress::failed);
    EXPECT_EQ(outcome.caller_reason, RefusalReason::secret);
}

TEST(Handshake, SurvivesAnyBytes) {
    std::mt19937 random{5};
    const Outcome good = meet({});
    for (int round = 0; round < 20'000; ++round) {
        Handshake side = round % 2 == 0 ? Handshake::respond("job", secret_from(1), NodeId{2}, nonce_from(9))
                                        : Handshake::initiate("job", secret_from(1), Sides{}.own, nonce_from(9));
        std::vector<std::byte> bytes = round % 2 == 0 ? good.from_caller : good.from_called;
        for (std::uint32_t i = 0, count = random() % 4; i < count; ++i)
            bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        bytes.resize(random() % (bytes.size() + 1));
        Progress progress = feed(side, bytes, 1 + random() % 200);
        if (progress == Progress::hello) {
            side.challenge(
                {NodeId{2}, side.peer().from, SessionId{22}, 6, side.peer().connection, side.peer().stream, 3, 1});
            progress = feed(side, bytes, 1 + random() % 200);
        }
        ASSERT_NE(progress, Progress::done);
        ASSERT_NE(progress, Progress::proven);
    }
}

TEST(Hmac, IsThatOfTheStandard) {
    // RFC 4231, test case 2.
    const std::string_view key = "Jefe";
    const std::string_view text = "what do ya want for nothing?";
    const std::array<std::span<const std::byte>, 2> parts{std::as_bytes(std::span{text.substr(0, 10)}),
                                                          std::as_bytes(std::span{text.substr(10)})};
    const std::vector<std::uint8_t> key_bytes(key.begin(), key.end());
    const Mac mac = hmac_sha256(key_bytes, parts);
    const Mac expected{0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
                       0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
    EXPECT_TRUE(same_mac(mac, expected));
    Mac other = expected;
    other[31] ^= 1;
    EXPECT_FALSE(same_mac(mac, other));
}

}  // namespace
}  // namespace phoenix
