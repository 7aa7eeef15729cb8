<?php // Logs the events it is given (JSON, one a line) by Monolog.
require 'Psr/Log/autoload.php';
require 'Monolog/autoload.php';
use Monolog\{Logger, Handler\StreamHandler, Formatter\LineFormatter};
$handler = new StreamHandler('php://stdout');
$handler->setFormatter(new LineFormatter(null, null, true, false, true));
while ($line = fgets(STDIN)) {
    $event = json_decode($line, true);
    $logger = new Logger($event['logger'], [$handler]);
    $context = $event['exception'] ? ['exception' => new $event['exception']('gone')] : [];
    $logger->log($event['level'], "zq{$event['site']}zq{$event['message']}", $context);
}
