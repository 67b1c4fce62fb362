#include "pflight/run_job.hpp"

#include "control/agent.hpp"
#include "pflight/command.hpp"
#include "pflight/job_launcher.hpp"
#include "pflight/supervisor.hpp"
#include "pflight/terminal.hpp"

namespace phoenix::pflight {

int run_job(const RunOptions& options) {
    block_supervised_signals();
    if (!options.places.empty()) return JobLauncher{options}.run();
    AgentOptions job;
    job.job_id = options.job_id;
    job.settings = options.settings;
    job.faults = options.faults;
    job.expected_members = options.members;
    auto agent = Agent::start(job);
    if (!agent) return complain(agent.error().sentence, refused);
    Terminal terminal{options, (*agent)->segment(), (*agent)->arena()};
    return Supervisor{options, **agent, terminal}.run();
}

}  // namespace phoenix::pflight
