#include "pflight/command.hpp"

#include <cstdio>
#include <fmt/format.h>

namespace phoenix::pflight {

CLI::App& OptionsCommand::add_to(CLI::App& application, const char* name, const char* description,
                                 const char* examples) {
    app_ = application.add_subcommand(name, description);
    app_->footer(fmt::format("\nexamples:\n{}", examples));
    return *app_;
}

void OptionsCommand::add_text(const char* name, std::string& value, const char* placeholder, const char* help) {
    app_->add_option(name, value, help)->type_name(placeholder)->group("Options");
}

void OptionsCommand::add_flag(const char* name, bool& value, const char* help) { app_->add_flag(name, value, help); }

void OptionsCommand::add_word(const char* name, std::string& value, const char* help) {
    app_->add_option(name, value, help)->type_name("")->required();
}

void OptionsCommand::add_optional_word(const char* name, std::string& value, const char* help) {
    app_->add_option(name, value, help)->type_name("");
}

void OptionsCommand::add_job_option() { add_text("--job", job_, "ID", "The job meant (else the only one that runs)"); }

int complain(const std::string& sentence, int status) {
    std::fputs(fmt::format("pflight: {}\n", sentence).c_str(), stderr);
    return status;
}

void say(const std::string& lines) { std::fputs(lines.c_str(), stdout); }

}  // namespace phoenix::pflight
