import com.corundumstudio.socketio.Configuration;
import com.corundumstudio.socketio.SocketIOServer;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A netty-socketio server with the event `numbered` of examples/chat/numbered.js.
 *
 * <p>netty-socketio answers `connection: keep-alive` and closes each connection after its answer.
 *
 * <p>java -cp 'JARS/*' Server.java HOST PORT
 *
 * <p>Prints {"port":…} once it listens, and ends when standard input is closed.
 */
public class Server {
    /** Messages of one session: their number, and the last one. */
    private static final class Session {
        int count;
        int previous;
    }

    public static void main(String[] arguments) throws Exception {
        Configuration config = new Configuration();
        config.setHostname(arguments[0]);
        config.setPort(Integer.parseInt(arguments[1]));
        config.setRandomSession(true);
        SocketIOServer server = new SocketIOServer(config);
        Map<UUID, Session> sessions = new ConcurrentHashMap<>();
        server.addConnectListener(client -> sessions.put(client.getSessionId(), new Session()));
        server.addDisconnectListener(client -> sessions.remove(client.getSessionId()));
        server.addEventListener("numbered", Map.class, (client, message, ack) -> {
            Session session = sessions.get(client.getSessionId());
            int n = ((Number) message.get("n")).intValue();
            session.count += 1;
            ack.sendAckData(Map.of("n", n, "pod", arguments[0], "count", session.count, "previous", session.previous));
            client.sendEvent("tick", Map.of("n", session.count));
            session.previous = n;
        });
        server.start();
        System.out.println("{\"port\":" + config.getPort() + "}");
        while (System.in.read() >= 0) {}
        System.exit(0);
    }
}
