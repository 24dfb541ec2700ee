// The contract is the host's; the pages' templates are strings in the bundle.
export default { external: [/^session3:/], moduleTypes: { ".html": "text" } };
