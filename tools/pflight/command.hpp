#pragma once
/// A command of pflight: what it is called with, and what it does. main.cpp has the table of all.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

namespace phoenix::pflight {

inline constexpr int good = 0;
inline constexpr int refused = 1;  ///< Also: failed.
inline constexpr int wrong_usage = 2;

class Command {
  public:
    Command() = default;
    Command(const Command&) = delete;
    Command& operator=(const Command&) = delete;
    virtual ~Command() = default;

    /// Adds itself to the command line.
    virtual void declare(CLI::App& application) = 0;
    /// Does it and returns the exit status. What is wrong is said by then.
    [[nodiscard]] virtual int run() = 0;
    [[nodiscard]] virtual bool chosen() const = 0;
};

/// A command with options and nothing else.
class OptionsCommand : public Command {
  public:
    [[nodiscard]] bool chosen() const override { return app_->parsed(); }

  protected:
    CLI::App& add_to(CLI::App& application, const char* name, const char* description, const char* examples);
    void add_text(const char* name, std::string& value, const char* placeholder, const char* help);
    void add_flag(const char* name, bool& value, const char* help);
    void add_word(const char* name, std::string& value, const char* help);  ///< Required, without a dash.
    void add_optional_word(const char* name, std::string& value, const char* help);
    void add_job_option();

    std::string job_;  ///< --job

  private:
    CLI::App* app_{nullptr};
};

/// One line to stderr; returns `status`. Nobody may be reading.
int complain(const std::string& sentence, int status);
/// One or more lines to stdout.
void say(const std::string& lines);

[[nodiscard]] std::unique_ptr<Command> make_run_command();
[[nodiscard]] std::unique_ptr<Command> make_status_command();
[[nodiscard]] std::unique_ptr<Command> make_members_command();
[[nodiscard]] std::unique_ptr<Command> make_vnodes_command();
[[nodiscard]] std::unique_ptr<Command> make_join_command();
[[nodiscard]] std::unique_ptr<Command> make_retire_command();
[[nodiscard]] std::unique_ptr<Command> make_move_command();
[[nodiscard]] std::unique_ptr<Command> make_clean_command();
[[nodiscard]] std::unique_ptr<Command> make_selftest_command();
[[nodiscard]] std::unique_ptr<Command> make_agent_command();  ///< Not for people.
[[nodiscard]] std::unique_ptr<Command> make_port_command();   ///< Not for people.

}  // namespace phoenix::pflight
