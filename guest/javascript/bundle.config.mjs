// The host provides the interfaces `session3:`. HTML templates become strings in the bundle.
export default { external: [/^session3:/], moduleTypes: { ".html": "text" } };
