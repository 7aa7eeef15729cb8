// Logs the events it is given (level, tab, logger, tab, text, one a line) by spdlog.
#include <iostream>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <string>

int main() {
    auto sink = std::make_shared<spdlog::sinks::stdout_sink_st>();
    for (std::string line; std::getline(std::cin, line);) {
        auto first = line.find('\t'), second = line.find('\t', first + 1);
        spdlog::logger logger(line.substr(first + 1, second - first - 1), sink);
        logger.set_level(spdlog::level::trace);
        logger.log(spdlog::level::from_str(line.substr(0, first)), "{}", line.substr(second + 1));
    }
}
