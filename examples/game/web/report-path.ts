/** Where page and server of the example talk: the server asks by an event (GET), and is answered by a POST. */
export const REPORT_PATH = "/zalloc-report";
