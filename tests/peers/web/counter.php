<?php
// The counter page with PHP's own sessions in files, as a peer in the benchmark. nginx passes
// every request to it.

session_start();
$_SESSION['counter'] ??= 0;
switch ($_SERVER['DOCUMENT_URI']) {
    case '/':
        echo "<title>PHP</title>\n",
            '<p>Your session ID is ', session_id(), ".</p>\n",
            '<p>Counter is at ', $_SESSION['counter'], ".</p>\n";
        break;
    case '/increment':
        $_SESSION['counter']++;
        // And then as for /keep.
    case '/keep':
        header('Location: /', true, 303);
}
