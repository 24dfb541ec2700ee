export { SessionError } from "./errors.js";
export { serve, session } from "./serve.js";
