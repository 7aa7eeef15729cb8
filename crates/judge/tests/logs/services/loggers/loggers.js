// Logs the events it is given (JSON, one a line) by the logger that is named: pino, winston, console (objects as objects).
const lines = require('fs').readFileSync(0, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
const kind = process.argv[2];
const pino = require('pino')({ level: 'trace' }, require('pino').destination({ sync: true }));
const { createLogger, format, transports } = require('winston');
const winston = createLogger({ level: 'silly', transports: [new transports.Console()], format: format.combine(format.timestamp(),
  format.printf(({ level, message, label, timestamp }) => `${timestamp} [${label}] ${level}: ${message}`)) });
for (const { site, level, logger, message, fields, exception } of lines) {
  const text = `zq${site}zq${message}`;
  const error = exception ? new globalThis[exception]('gone') : undefined;
  if (kind === 'pino') {
    pino[level.toLowerCase()]({ name: logger, ...Object.fromEntries(fields), ...(error && { err: error }) }, text);
  } else if (kind === 'winston') {
    winston.log({ level, message: text, label: logger });
  } else {
    const brace = message.indexOf('{ ');
    if (brace < 0) console.log(text);
    else if (brace > 0) console.log(`zq${site}zq${message.slice(0, brace - 1)}`, eval(`(${message.slice(brace)})`));
    else console.log(eval(`({ zq${site}zq${message.slice(2)})`));
  }
}
