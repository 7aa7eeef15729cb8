# Logs the events it is given (JSON, one a line) by Ruby's own logger, as Rails does.
require 'json'
require 'logger'
logger = Logger.new($stdout)
$stdin.each_line do |line|
  event = JSON.parse(line)
  logger.add(Logger.const_get(event['level']), "zq#{event['site']}zq#{event['message']}", event['logger'])
end
